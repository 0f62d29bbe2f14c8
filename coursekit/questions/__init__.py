"""Questions for a learning system: a bank per chapter, the predictions of the chapters, and what a class predicted.

The banks lie in ``questions/NN_topic.md``, in the format of text2qti (https://github.com/gpoore/text2qti). Numbers in
them are Jinja expressions over ``results/`` and the built page of the chapter, so that they follow a new build.
"""
