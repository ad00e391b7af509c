import numpy as np

from export.source import Sample, groups_of


def test_samples_without_a_group_have_one_of_their_own():
    samples = [Sample(str(n), {}, np.array(0), group=group) for n, group in enumerate(("a", None, 7, "a", None))]
    assert groups_of(samples).tolist() == [0, 1, 2, 0, 3]
