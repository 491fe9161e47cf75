"""`python -m glomo_spacy …` is `glomo-spacy …`."""

from glomo_spacy.cli import main

if __name__ == "__main__":
    main()
