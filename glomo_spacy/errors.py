"""Every message the package raises or warns with, under its code.

`G0xx` input, `G1xx` configuration, `G2xx` checkpoints, `G3xx` training, `G9xx` files. A message names the value met,
the value expected and the next step; `Errors.G001.format(...)` gives the text with its code in front.
"""

from typing import Any


class _WithCodes(type):
    """Prefix each message with its code on access, as spaCy's own `Errors` does."""

    def __getattribute__(cls, name: str) -> Any:
        value = super().__getattribute__(name)
        if name.startswith("G") and isinstance(value, str):
            return f"[{name}] {value}"
        return value


class Errors(metaclass=_WithCodes):
    """Messages of exceptions."""

    # --- G0xx: input -------------------------------------------------------------------------------------------------
    G001 = "A vocabulary must list each word once and end with {unknown!r}, but has {found}. Use the vocab.txt as it was written."
    G002 = "casing = {casing!r} is not known. Choose one of: {options}."
    G003 = "The [indexer] section has {found}, but an indexer of kind {kind!r} is needed, with digits, casing and lang."
    G004 = "No file matches {pattern!r}. Give the path of a text file, or a pattern in quotes such as 'text/**/*.txt'."
    G005 = "There is no text in: {files}. Nothing was written."
    G006 = "{path} is not UTF-8 text: {reason} at byte {offset}. Give plain text or .jsonl, possibly packed as .gz, .xz or .bz2."
    G007 = '{path}, line {line}: expected a JSON object with a string "text".'
    G008 = "There is no tokeniser for the language {lang!r}: {reason}"
    G009 = "{n_held_out} of {n_documents} documents cannot be held out: at least one must be left for training. Documents are separated by {documents!r}; see --documents, --dev-documents and --dev-fraction."
    G018 = "{option} is for --format {belongs}, but the format is {format}. Leave it out, or change the format."
    G019 = "--dev gives the held-out text, so {option} has nothing to divide. Leave one of the two out."
    G020 = "{path} is both in the text and in --dev, but held-out text must not be trained on. Name it once."
    G021 = "The words of {path} do not stand by falling count: {example}. Sampled softmax takes the place of a word for its rank; sort the vocabulary, most frequent words first."
    G030 = "Each graph needs one row and one column per word: expected {expected}, but found {found}."
    G031 = "Weights of a graph must lie between 0 and 1, but one is {weight}."
    G032 = "There are {found} graph names for {expected} graphs. Give one name per graph."
    G033 = "There is nothing to show: give at least one text with at least one graph."
    G034 = "The smallest weight to draw must lie between 0.01 and 1, but is {found}."
    G035 = "{path} holds no text. Give a sentence, a UTF-8 text file, or `-` to read from standard input."
    G036 = "{path} looks like a file, but there is none. Give the path of a text file, or the text itself."
    G037 = "The Doc has no relational graph. Run it through a pipeline with `glomo_graph` first, or give its text."
    G038 = "The number of sources per word must be at least 1, or None for all, but is {found}."
    G040 = "{path} is neither a checkpoint (config.cfg, model.safetensors) nor a prepared corpus (corpus.json) nor a biLM's file (.hdf5, options.json).{hint}"
    G041 = "{path} has weights that are no finite numbers, in: {names}. The run diverged; use an earlier checkpoint."
    G042 = "{path} is missing, but listed in {record}. Copy or make the directory again."
    G043 = "{path} has SHA-256 {found}, but {record} lists {expected}. The file was changed or damaged; copy it again."
    G044 = "Sentence {place} must be a list of tokens, but is {value}. Split it first, e.g. [token.text for token in nlp(text)]."
    G045 = "Token {position} of sentence {place} must be a str, but is of type {kind}."
    G046 = "{value!r} is neither a packaged model ({packaged}) nor a checkpoint directory."
    G047 = "{path} holds features that were made otherwise: {changes}. Restore these, choose another place, or start afresh with --force."
    G049 = "--part = {value!r} must name one part of several, such as 2/8: from 1/8 to 8/8."
    G050 = "{path} exists and holds no features, so it is left as it is. Choose another place."
    G051 = "A process that extracted features ended with {code}. It may have run out of memory: use fewer processes (-p) or smaller --shard-tokens. Finished shards are kept; run the same command again."
    G052 = "{word!r} does not stand in {place}. Give a whole token; casing does not matter."
    G053 = "{path} lacks {n_missing} of {n_shards} shards. Finish it: run the same extract command again."
    G054 = "There are no words to show. Give at least one sentence."
    G055 = "{name} must be {expected}, but there are {found}."
    G056 = "{path} must end in {suffixes}."
    G057 = "{path} was extracted with other weights than {model}. Give the model it was made with (--pretrained)."
    G058 = "{path} is damaged: {reason}. Remove it and run extract again."
    G059 = "{path} would hold {found:,} sentences, more than one safetensors file can list. Extract into a directory, or to .hdf5."

    G060 = (
        "{path} gives states of width {found}, but the config says width {expected}. Set width to {found}, or to null."
    )
    G061 = "{path} has no vocabulary, so it cannot read words. Use the directory as training wrote it, with its vocab.txt and [indexer]."
    G062 = "This needs a model of glomo_spacy.MogrifierLM.v1, but got {found!r}. Set [components.mogrifier_lm.model]."
    G063 = "What the language model said belongs to {found} tokens, but the Doc now has {expected} or has other boundaries: tokens were merged or split after mogrifier_lm ran. Place mogrifier_lm after the component that retokenizes."
    G064 = "candidates and rescore take Docs, and texts where the component knows a tokeniser, as in a pipeline; got {found!r}."

    G065 = (
        "{path} is not a SQuAD file: {reason}. Expected JSON as the official train-v1.1.json, possibly packed as .gz."
    )
    G066 = "{path} is not whole: {place} must be {expected}, but is {found}. Copy or make the file again."
    G067 = (
        "{path} lists the question id {id!r} twice. Give every question an id of its own; predictions are named by it."
    )
    G068 = "{path}: the {part} of {place} is empty. Write it out, or leave the entry out."
    G069 = "{path}: question {id!r} has no answer, as in SQuAD 2.0. Leave such questions out with --answerable-only (answerable_only = true)."
    G070 = "{path}: the answer {text!r} to question {id!r} does not stand in its context. Answers are copies of a part of the context."
    G071 = "{path} holds no question{hint}."
    G072 = "{path} holds no predictions: {reason}. Expected a JSON object of answer texts by question id, possibly packed as .gz."
    G073 = "{path}, line {line}: expected a word and {expected} numbers, but found {found}. The file is damaged, or its vectors are of several widths; copy it again."
    G074 = "{path} holds no word vectors: {reason}. Give a directory made by `spacy init vectors`, or a text file of one word and its numbers per line."
    G075 = "{path} has no vector for any word of the questions and contexts. Give vectors of their language."
    G076 = "A window of {size} tokens with a stride of {stride} would leave tokens out. Choose a stride from 1 to the size."
    G077 = "fraction must be above 0 and at most 1, and limit at least 0, but they are {fraction} and {limit}."
    G078 = "Give either a pipeline or --predictions, but there is {found}."
    G079 = "{option} is for pipelines, but --predictions are scored as they are. Leave it out."

    G090 = "A question must be a text with at least one word, but is {question!r}. Set doc._.question to a question, or to None."
    G091 = "ExtractiveQA runs its tok2vec over questions too, which no component has seen: {name} ({upstream!r}) has no vectors for them. Give it a tok2vec of its own in [components.….model.tok2vec]."
    G092 = "{path} was trained with {found}, but the config says {expected}. Use the config it was trained with, or leave these out."
    G094 = "ExtractiveQA is made either over a tok2vec, with or without state_graph, or from pretrained, which brings all it needs. Leave one of the two out."
    G095 = "This needs a model of glomo_spacy.ExtractiveQA.v1, but got {found!r}. Set [components.extractive_qa.model]."
    G096 = "The reader over the tok2vec was never initialised. Call nlp.initialize first."
    G097 = '{name} found no question with an answer to be initialised with. Use a reader such as glomo_spacy.squad.v1, which sets doc._.question and reference.spans["answers"].'
    G098 = "The context has no words to answer from. Give a text."
    G099 = "The pipeline has no extractive_qa, but: {components}. Add it with nlp.add_pipe, or load a pipeline that has it."
    G124 = "The packaged reader {name!r} is not in this installation. Name a reader with --pretrained or a pipeline with --pipeline; projects/squad builds one: spacy project run pipeline."
    G125 = "There is no pipeline {name!r}: {reason} Give the directory of a saved pipeline, or the name of an installed one."

    G010 = (
        "The relational graph belongs to {found} tokens, but the Doc now has {expected} or has other boundaries: tokens were "
        "merged or split after glomo_graph ran. Place glomo_graph after the component that retokenizes."
    )
    G011 = 'There is no graph {name!r}. Available: {options}. All graphs are kept with keep="all".'
    G012 = 'This needs {package}, which is not installed: pip install "glomo-spacy[viz]"'
    G013 = "The arrays of a relational graph do not fit together: {reason}."

    G014 = "An alphabet must be a list of different single characters, at most 65,529, but has {found}."
    G015 = "The [indexer] section has {found}, but an indexer of kind {kind!r} is needed, with {names}."
    G016 = "A vocabulary must begin with the lines <S>, </S> and <UNK> and list each word once, but has {found}. Use the vocab.txt as it was written, most frequent words first."
    G017 = "Expected a list of sentences, each a list of tokens, but found {found!r}. Split text into tokens first."

    # --- G1xx: configuration -----------------------------------------------------------------------------------------
    G120 = (
        "There are no weights: {reason} Set `pretrained` to a packaged name ({packaged}) or to a checkpoint directory, or "
        "load a saved pipeline, which carries its weights."
    )
    G121 = "`pretrained` is null and no stored weights were loaded."
    G122 = "pretrained = {value!r} is neither a packaged name nor a directory."
    G123 = (
        "glomo_graph needs a model of glomo_spacy.GlomoGraph.v1, but got {found!r}. Set [components.glomo_graph.model]."
    )
    G100 = "{name} = {value!r} is not available. Choose one of: {options}."
    G101 = "{name} must be {expected}, but is {value!r}."
    G102 = "width ({width}) must be divisible by the number of heads ({n_heads}): each head sends one slice of the features."
    G103 = "The mask has shape {mask}, but the ids have shape {ids}. Give one boolean per token."
    G104 = "Padding must stand at the right of each sequence: the mask has a real token after a padded one."
    G105 = "Positions must lie in [0, {limit}): {dec_len} words of a sequence of {seq} are predicted after each."

    G140 = "{name} is not a setting. Nearest: {nearest}."
    G141 = "{name} must be {expected}, but is {value!r}."
    G142 = "[{section}] lacks: {names}. Every setting stands in the config; see configs/ for complete ones."
    G143 = "{argument!r} is not an override. Write --section.name value, e.g. --system.seed 1."
    G144 = "{path} cannot be read as a config: {reason}."
    G145 = "[pretraining] sets no budget. Give at least one of max_epochs, max_steps, max_tokens, max_seconds."
    G146 = "[model] must not set {name}: the prepared corpus decides it."
    G147 = "paths.{name} is not set. Give it in the config or with --paths.{name} DIRECTORY."
    G148 = "adaptive_cutoffs has {found} cut-offs, but a width of {width} allows {most}: each cluster's words have a quarter of the width of those before."
    G154 = "The model has no soft-max: it was exported for use. Take the checkpoint of the training run (model-best), or set model.softmax."
    G155 = 'Negatives need model.softmax = "full", but it is {softmax!r}. Set pretraining.objective.n_negatives to null, or the soft-max to full.'
    G156 = "model.cell_options has {found}, but {cell!r} cells take: {known}."
    G126 = "Cached.v1 keeps what never changes, but {name} learns: {setting}. Set {remedy}, or leave Cached.v1 out."
    G127 = (
        "Cached.v1 goes around one frozen model of Elmo.v1, MogrifierLM.v1, GlomoGraph.v1, WordVectors.v1 or UniformGraph.v1, "
        "but got {found!r}. Put it inside, around each frozen part, and leave outside what learns or listens: "
        "Concat.v1 over Cached.v1 over Elmo.v1, for example."
    )
    G128 = 'state = "carry" makes each result depend on earlier texts, so that none can be kept. Set state = "zero", or leave Cached.v1 out.'
    G130 = "The vocabulary has no word vectors. Make a table with `spacy init vectors` and name it under [initialize] vectors."
    G131 = "The word vectors are {found} wide, but the model was initialised with {expected}. Load the table it was trained with."
    G132 = "Concat needs at least one tok2vec, but got none. Add a section [….tok2vecs.NAME] for each."
    G133 = "{name} gives {found} rows for a Doc of {expected} tokens. Every tok2vec must give one row per token."
    G134 = "Rows of width {width} cannot be cut into {n_layers} layers of equal width. Set n_layers to what the tok2vec gives."
    G135 = "layers_off = {found} must leave at least one of the layers 0 to {last} on."
    G136 = "GraphTransfer has no weights yet. Call nlp.initialize, or load a trained pipeline, before using it."
    G137 = "GraphTransfer was stored with {found}, but the config says {expected}. Use the config it was trained with."
    G138 = "The tok2vec of GraphTransfer gives rows of width {found}, but width {expected} at initialisation."

    G106 = "active = {found} must name at least one of the layers 0 to {last}."
    G107 = "This biLM has no indexer, so it cannot read words. Load it from a checkpoint, or set its `indexer`."
    G108 = "The indexer has {found} {units}, but the model's table has {expected}. Use the indexer the model was trained with."
    G109 = "state = {state!r} is not known. Choose one of: {options}."
    G110 = "There are {found} weights for {expected} layers. Give one per layer, the token vectors first."
    G111 = "An indexer of kind {found!r} does not fit a biLM whose token_encoder is {encoder!r}: give one of kind {kind!r}."
    G112 = "fusion = {fusion!r} mixes products across layers, but candidates = {candidates!r}. Leave candidates out, or choose fusion = 'gate'."
    G113 = "TRNN needs fusion = 'gate' and learned graphs, but got fusion = {fusion!r} and graph = {graph!r}."
    G114 = "Layer {layer} of the graphs is {found}, but {n_layers} layers of {n_heads} heads are expected: left layers, then right ones. Use graphs of the checkpoint that this model was built for."
    G115 = "unfreeze = {unfreeze} has {found} numbers, but there are {n_layers} recurrent layers and the vectors below them. Give one number per layer, the top one first, or fewer."

    G160 = (
        "{later!r} stands after {name!r} and would overwrite its vectors in doc.tensor. Place {name!r} behind it, as in "
        '[nlp] pipeline = [..., "{later}", "{name}"], or let one component give both by glomo_spacy.Concat.v1.'
    )
    G161 = (
        "{component!r} listens to {upstream!r}, but would read the vectors of {name!r}, which stands between them. Place "
        '{name!r} behind it, as in [nlp] pipeline = [..., "{component}", "{name}"], or let one component give both by '
        "glomo_spacy.Concat.v1."
    )
    G162 = (
        'sentences = "require", but there are no sentence boundaries in: {text!r}. Place a component that sets them (sentencizer, '
        'senter, parser) before this one, in training also under annotating_components, or set sentences = "use".'
    )
    G163 = (
        "{path} gives vectors of width {found}, but the config says width {expected}. Set width to {found}, or to null."
    )
    G164 = "ELMo's layers belong to {found} tokens, but the Doc now has {expected} or has other boundaries: tokens were merged or split after elmo ran. Place elmo after the component that retokenizes."
    G165 = 'state = "carry" makes each result depend on earlier texts and is no ground to train on. Set trainable = false, or state = "zero".'
    G166 = "This needs a model of glomo_spacy.Elmo.v1, but got {found!r}. Set [components.elmo.model], or keep_layers = false."

    G167 = "initialize.init_tok2vec = {path} does not fit {component!r}: {reason}. Use weights of the same settings, or the settings of the weights."

    G180 = "The gating rounds take turns, x first, so there must be as many q_weights as r_weights or one more, but there are {n_q} and {n_r}."
    G181 = "There are {found} {name}_biases for {expected} {name}_weights. Give one per matrix, or none at all."
    G182 = 'softmax = "adaptive" has vectors of several widths, which can neither be tied nor mixed, but tied is {tied} and n_softmaxes is {n_softmaxes}. Set tied = false and n_softmaxes = 1, or softmax = "full".'
    G183 = "{names} can be set for Mogrifiers and LSTMs only, but cell is {cell!r}. Leave them out."
    G184 = "This language model has no indexer, so it cannot read words. Load it from a checkpoint, or call attach_indexer."
    G185 = "An indexer of kind {found!r} does not fit a language model, which reads whole words. Give one of kind 'vocabulary'."
    G187 = "Negatives need one full soft-max, but the model has softmax = {softmax!r} and n_softmaxes = {n_softmaxes}. Set n_negatives to null, or the model's soft-max to one full one."
    G186 = "temperature must be above 0, but is {found!r}. 1 leaves the probabilities as they are."

    G188 = (
        "{component!r} listens to {upstream!r}, but would read the vectors of {writer!r}, which stands between them and overwrites "
        "doc.tensor; in training it gets the right ones, so that nothing shows before the pipeline is used. Place it directly "
        "behind its encoder, or let one encoder give both by glomo_spacy.Concat.v1:\n\n{lines}"
    )
    G189 = (
        "{component!r} listens to {upstream!r}, but no encoder of that name stands before it (encoders there: {encoders}), so that "
        "it would read zeros or another one's vectors:\n\n{lines}"
    )
    G190 = "A reader must read words: set n_words (static vectors), elmo_layers and elmo_width (a biLM) or feature_width (features from outside)."
    G191 = 'attention = "square" is for readers without graphs or with graphs over words, but graph is "states". Set attention = "softmax".'
    G192 = "The reader's config asks for more than the {side} side has. Missing: {missing}."

    G193 = (
        "{component!r} reads the vectors of {encoder!r} from the Doc, since {reason}, but {encoder!r} does not set them in "
        "training: it would read nothing, or what another encoder left there. Add:\n\n{lines}"
    )
    G194 = "{component!r} listens to rows of width {expected}, but {upstream!r} gives rows of width {found}. Set:\n\n{lines}"
    G195 = (
        "{name!r} is frozen, and what is frozen is never initialised, but these parts of it have no weights: {parts}. Source it "
        "from a trained pipeline, or leave it out of frozen_components:\n\n{lines}"
    )
    G196 = '{name!r} insists on sentence boundaries (sentences = "require"), which {reason}. Add:\n\n{lines}'
    G197 = (
        "initialize.init_tok2vec = {path} would be passed over in silence: spaCy reads it only if the config has a [pretraining] "
        "section that names the component to fill. Add one with `python -m spacy init fill-config --pretraining`, and in "
        "it:\n\n{lines}"
    )
    G198 = "training.annotating_components names {name!r}, which is no component and would be passed over in silence. Components: {names}. Set:\n\n{lines}"
    G199 = 'A mixture in {name!r} has n_layers = {expected}, but what it reads holds {found} side by side, so that it would mix parts of layers. Set n_layers = {found}, and layers = "all" in the section of the biLM for more than one.'

    # --- G2xx: checkpoints -------------------------------------------------------------------------------------------
    G200 = "{path} is not a checkpoint directory: {missing} is missing. Expected config.cfg, model.safetensors and meta.json."
    G201 = "{path} cannot be read as safetensors ({reason}). The file is truncated or of another format; copy or train it again."
    G202 = "The weights in {path} do not fit its config.cfg. Missing: {missing}. Unexpected: {extra}. Wrong shape: {shapes}."
    G203 = "{path} holds a checkpoint of kind {found!r}, but {expected!r} is needed here."
    G204 = "{path} was written in checkpoint format {found}, but this version reads format {expected}. Upgrade glomo-spacy."
    G205 = "{path} lists {found} words, but the model in config.cfg has vocab_size {expected}. Use the vocab.txt it was trained with."
    G206 = "{path} is not valid: {reason}."
    G207 = (
        "{path} is not a checkpoint and not empty, so it is not replaced by one. Give another directory, or remove it."
    )
    G208 = "{path} is not a file. Give an HDF5 file, for example the weights of a biLM."
    G209 = (
        "{path} cannot be read as HDF5: {reason}. The file is truncated, damaged or of another format; copy it again."
    )
    G210 = "{path} has a {found} at {name!r}. Links are not followed: give a file that holds its data itself."
    G211 = "{path} holds {name!r} as {found}, but 32-bit floats, and more than none, are expected."
    G212 = "{path} claims {name!r} in a way that is not read: {found}. Give a file that holds its data itself and unpacked, for example by h5repack -f NONE."
    G213 = "{path} is not the weights of a biLM, or not all of them. Missing: {missing}. Found: {found}."
    G214 = "{path} does not fit {options}: {differences}. Give the options.json that the weights were written with."
    G215 = "Arrays in {path} do not fit together: {shapes}. The file is damaged or no biLM's."
    G216 = "{path} holds values that are not finite in {name!r}. The training it comes from diverged, or it is damaged."
    G217 = "{path} is not the options.json of a biLM: {reason}."
    G218 = "{path} has {found}. The characters of a biLM are 261, or 262 with a first row of zeros; another table has another meaning."
    G219 = "{path} is missing. Sizes and clips of a biLM stand in its options.json: name it with --options."
    G220 = "{path} is not a file. Give a state dict as .safetensors or .pt."
    G221 = "{path} is not a plain state dict of tensors: {reason}. Save model.state_dict(), best as .safetensors."
    G222 = "{path} is not a GLoMo state dict: {name} is missing. Found: {found}."
    G223 = "{path} lacks tensors that this variant needs: {missing}. Check --sparsity and --feature-predictor."
    G224 = "Tensors in {path} do not fit together: {shapes}. Check --heads and --sparsity, or save the file again."
    G225 = "{n_heads} heads do not divide the tensors in {path}: keys have width {affinity}, features have width {width}. Check --heads."
    G226 = "{path} holds values that are not finite in: {names}. The training it comes from diverged or the file is damaged."
    G227 = (
        "The soft-max weights in {path} differ from {name}. GLoMo shares one table; this file comes from another model."
    )
    G228 = 'This needs h5py, which is not installed: pip install "glomo-spacy[hdf5]"'
    G229 = "{path} cannot be written as a biLM of bilm-tf: {reason}."
    G230 = "{path} takes words, so their list is needed: one per line, <S>, </S> and <UNK> first, {expected} in all{found}. Name it with --vocab."
    G231 = "{path} is neither a biLM (weights.hdf5, options.json) nor empty, so it is not replaced by one. Give another directory, or remove it."
    G232 = "Say once what to make: --from glomo, --from bilm or --from mogrifier-lstm (a foreign file to a checkpoint), --to bilm, or --export. Found: {found}."
    G233 = "{options} cannot be used with {action}. It takes: {known}."
    G234 = "--from glomo needs {missing}: no tensor tells it."
    G235 = "{path} has weights in {name!r} that {dtype} cannot hold. Keep float32, or look for what made them so large."
    G236 = "{path} cannot be used as vectors of sentences: {reason}."
    G237 = "{path} would be replaced by what is exported from it, and its soft-max lost. Give another directory."
    G240 = "The loss is {loss} in window {window} of the text, {rates}. Lower learn_rate or raise epsilon; if nothing was learned yet, the weights themselves are damaged (see info)."
    G241 = "{options} cannot be used {why}."
    G242 = "{path} has no vocab.txt and takes word ids, so it cannot read text. Convert it again with --vocab."
    G243 = "{option} is needed, as the text that is measured is no prepared corpus. Name one with {option} DIRECTORY."
    G244 = "The model has no dropout in its config, so that all samples would be equal. Leave Monte Carlo out, or train with dropout."
    G245 = (
        '{options} cannot be used with a model of kind {found!r}. Only language models of kind "mogrifier" know them.'
    )
    G246 = "{path} is not a state dict of the public Mogrifier LSTM: {name} is missing. Found: {found}."
    G247 = "{path} cannot become a checkpoint of equal results: {reason}."
    G248 = "Tensors in {path} do not fit together: {shapes}. Save the model's state dict again."
    G249 = "The vocabulary of {path} must list {expected} words in the order of ids, {end} for the end of a sentence among them, but has {found}."

    # --- G3xx: training ----------------------------------------------------------------------------------------------
    G300 = "Learning-rate multiplier {pattern!r} fits no parameter. Parameters: {names}."
    G301 = "{path} cannot be read as training state ({reason}). Delete it to go on from the state before."
    G302 = "pretraining.tensorboard needs TensorBoard: pip install 'glomo-spacy[tensorboard]', or set it to false."
    G303 = (
        "More than {limit:.0%} of the rows of these heads are empty: {heads}. They no longer learn. Start again with a lower "
        "learning rate for the graphs (pretraining.optimizer.multipliers) or a longer warm-up; earlier checkpoints are kept."
    )
    G305 = "Windows of {bptt} tokens (the shortest has {shortest}) leave no position with {dec_len} words after it. Raise corpora.bptt."
    G306 = "corpora.batch_size ({batch_size}) must be divisible by the number of processes ({world_size})."
    G307 = (
        "The loss is {loss} at step {step}. Resume from the last good state in {output} with a lower "
        "learn_rate, a lower clip or a longer warm-up; with bf16-mixed also try precision 32-true."
    )
    G308 = "{output} already holds a run (step {step}). Continue it with --resume, or choose another paths.output."
    G309 = "There is no training state in {output} to resume. Leave out --resume to start."
    G310 = "This run cannot continue with other settings: {changes}. Restore them, or start a new run (--init-from takes its weights)."
    G311 = "The state in {path} was written by {found} processes, but this run has {expected}. Resume with as many."
    G312 = (
        "{path} and the prepared corpus share no word. Prepare it with the same language and casing, or with --vocab."
    )
    G313 = "No weight of {path} fits this model. Its [model] section is: {model}."
    G314 = "device {device!r} is not available. Use auto, cpu, gpu or gpu:N; torch sees {count} GPUs."
    G315 = (
        "The held-out text of {corpus} gives no target: no document is longer than {dec_len} tokens. Prepare more text."
    )
    G316 = "{path} was trained with other words than those of {corpus}. Prepare the text with --vocab {path}/vocab.txt."
    G317 = "{path} is a GLoMo model, which is measured on one directory written by prepare, but got: {text}."
    G318 = "There are no words to predict in: {text}."
    G319 = (
        "Another run writes to {output}. Wait until it ends, stop it (Ctrl-C saves it), or choose another paths.output."
    )
    G330 = (
        "{path} has {n_words} words, ends of sentences included, but corpora.batch_size asks for {n_columns} columns. Prepare "
        "more text, or lower it."
    )
    G331 = "pretraining.average_decay and [pretraining.average] are two kinds of average. Set the first to null, or leave out the other."
    G350 = "This reader needs a frozen model, but {name} is null. Name the packaged model or checkpoint directory it was trained with."
    G351 = "{name} = {value!r} is another model than the one this reader was trained with: found {found}, expected {expected}. Give that one, or train again."
    G352 = "corpora.batch_size is {batch_size}, but {path} has only {found} questions with an answer to train on{share}. Prepare more, or lower it."
    G353 = "{path} has no word vectors. Prepare it with --vectors, or set pretraining.objective.word_vectors to false and read words by a biLM ([model] elmo_source)."
    G354 = "{name} reads nothing without {needed}. Set {needed}, or {name} to null."
    G355 = "{path} has no vectors of a text with {n_tokens} tokens that begins with {text!r}. Extract them again from the same corpus and with the same corpora.max_context and corpora.stride."
    G356 = "{path} was extracted from other weights ({found}) than those of {source} ({expected}). Extract it again, or name the other model."
    G357 = "{path} is no whole folder of a biLM's layers: {reason}. Make it with: glomo-spacy extract CORPUS {path} --format safetensors"
    G358 = "[model] must not set {name}: the prepared corpus decides it, or the frozen model that is named there."
    G359 = "{path} has no table of word vectors to keep --words of: it is of kind {found!r}. Leave --words out, or give a reader with word vectors."
    G360 = "None of the {n_texts:,} trees is of this text of {n_tokens} tokens. Parse the corpus again, with the same corpora.max_context and corpora.stride."

    # --- G9xx: files -------------------------------------------------------------------------------------------------
    G900 = "{path} could not be written: {reason}. What stood there before is unchanged. Free some space and run again."
    G901 = "{path} exists already. Choose another place, or allow a directory to be replaced (--force)."
    G902 = "{path} is damaged: {reason}. Run prepare again, or copy it again."
    G903 = "{path} is not a prepared corpus: {missing} is missing. Make one with: glomo-spacy prepare TEXT OUTPUT (--force replaces a prepared corpus and nothing else)."
    G904 = "{path} was written in corpus format {found}, but this version reads format {expected}. Run prepare again."
    G905 = "{path} has no split {split!r}. It has: {known}."
    G906 = "No document of {path} has the {bptt} tokens of a window; the longest has {longest}. Lower corpora.bptt, or prepare the text with longer documents (--documents)."
    G907 = "The position in the corpus cannot be restored: {name} was {found}, but is {expected}. Resume with the corpus and settings it was saved with."
    G908 = "{name} must be {expected}, but is {value!r}."
    G909 = "Nothing to verify with in {path}: {reason}. Expected lines of SHA-256 and path, or a directory with its own record."
    G930 = "part = {value!r} is not known. Choose one of: {options}."
    G931 = "There is no fold {fold} of {n_folds}. Folds count from 0, and there must be at least two."
    G932 = "Labelled lines need a file for each of at least two classes, but found: {found}. Add lines to [corpora.….files]."
    G933 = "{path} has {n_lines} lines, too few for {n_folds} folds. Lower n_folds, or raise limit."
    G920 = "{path} is a corpus of {found}, but {expected} are needed here. Make one with: glomo-spacy prepare TEXT OUTPUT --format {expected}"
    G940 = "A reading needs one of its {name} per word ({expected}), but has {found}."
    G941 = "Surprisal must be a finite number of bits, 0 or more, but is {value}."
    G942 = "The word {focus!r} does not stand in: {text!r}. Give a whole token, with its casing."
    G943 = "There is nothing to show: give at least one passage, each with at least one reading."
    G944 = "Line {line} of {path} is no sentence to compare. Lines hold {columns}, with tabs between; the first names them, and only the note may be left out."
    G945 = "The pipeline has no mogrifier_lm, but: {components}. Add it with nlp.add_pipe, or leave --pipeline out."
    G950 = "An answer's explanation needs {name} for its words ({expected}), but has {found}."
    G951 = "The answer from word {start} up to {end} does not stand in a text of {n_words} words. Count words from 0; the end is the first word after the answer."
    G952 = "There is nothing to show: give at least one explanation."
    G953 = "{name} must be probabilities or shares from 0 to 1, but hold {value}."
    G954 = "Weights of the graph {label!r} must be finite and 0 or more."
    G969 = "{n_failed} of {n_cells} cells failed. The first, {name}: {reason} Its train.log in {path} says where. The others are kept, and --table-only shows them; the same command makes those that failed."
    G970 = "{path}: {setting} names {name!r}, but the config has no such section."
    G971 = "The model of [ablation.features.{feature}] cannot be built: {reason}"
    G972 = "The corpus {name!r} holds nothing to score. Check its path."
    G973 = "A process that trained ended with {code}. It may have run out of memory: use fewer --workers. Finished cells are kept; run the same command again."
    G974 = "No finished cell in {path} has the score {name!r}. Scores found: {found}."
    G975 = "{path} was made with other settings: {changes}. Restore them, choose another output, or make such cells again with --force."


class Warnings(metaclass=_WithCodes):
    """Messages of warnings."""

    G129 = "What was computed cannot be kept in {path}: {reason}. Nothing more is written there. Free some space, or set another path."
    G168 = (
        "The model {name!r} was trained on texts without sentence boundaries, but now reads sentence by sentence: its vectors "
        "differ from those in training. Let what sets sentences annotate in training too, under annotating_components or as "
        'nlp.update(..., annotates=[...]); or set sentences = "ignore".'
    )
    G169 = (
        "{name!r} reads by sentence, which {setter!r} sets when the pipeline is used but not in training: its vectors would differ "
        'between the two. Set sentences = "ignore" in its model, or add:\n\n{lines}'
    )
    G170 = (
        "Nothing listens to {encoder!r}, so that its vectors are of no use to {component!r}. Let its model listen as below, or place "
        "{encoder!r} last if its vectors are for doc.tensor alone:\n\n{lines}"
    )
    G320 = "More than half of the rows of these heads are empty: {heads}. If it stays so, they learn nothing; see pretraining.objective.max_empty."
