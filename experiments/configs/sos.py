"""Every setting of SOS and of the methods it is compared with, at LKS's size; the parent of the configs beside it.

Marks: (p) stated by the paper (arXiv 2003.05080), (d) read from the data set's repository, (o) our choice, because the
paper's value is not known to us.
"""

from ml_collections import ConfigDict

from medssl_jax.metrics.slides import sos_methods


def get_config(_: str = "") -> ConfigDict:
    """SOS on all of LKS."""
    config = ConfigDict()
    config.command = "experiments.sos"  # what trains it
    config.seed = 0
    config.steps = 48_000  # (o) one slide each: about 100 times through the training slides

    data = config.data = ConfigDict()
    data.manual_dir = "data/LKS"  # the unpacked download
    data.data_dir = "data/tfds"  # the prepared data set
    data.grid = 40  # (d) patches a side of the centre crop
    data.patch_side = 1000  # (d) pixels
    data.shrink = 40  # (d) pixels a side of the box whose mean is one pixel at low resolution
    data.background_threshold = 1.0  # (o) grey levels; a patch whose mean is no more is not looked at

    split = config.split = ConfigDict()
    split.seed = 0
    split.validation_share = 0.15  # (o) of each class of the training slides; LKS has no validation split (d)

    batches = config.batches = ConfigDict()
    batches.slides = 1  # (o) slides a step; the patches of one are up to 1.6 GB
    batches.chunk = 16  # (o) patches encoded at a time; 0: all at once, and kept for the backward pass
    batches.symmetries = True  # (o) flips and quarter turns of whole slides
    # (o) slides of each step that are of a fold held out: of them L_3 and what teaches a policy, of the rest all else.
    batches.held_out = 0  # 0: all losses of all slides
    batches.loader_threads = 4

    # (o) a ResNet-18 of its own for each network.
    model = config.model = ConfigDict()
    model.low_features = (64, 128, 256, 512)
    model.low_blocks = (2, 2, 2, 2)
    model.low_stem_block = 0  # 0: 7 x 7 at stride 2 and a maximum at stride 2; else pixels a side that become channels
    model.high_features = (64, 128, 256, 512)
    model.high_blocks = (2, 2, 2, 2)
    model.high_stem_block = 0
    model.policy_features = (64, 128, 256, 512)
    model.policy_blocks = (2, 2, 2, 2)
    model.pretrained = ""  # .npz of torchvision's ResNet-18 for all three; "": from scratch, with GroupNorm
    model.attention_features = 128
    model.intensity_mean = 0.0  # of the low-resolution training images, white is 1
    model.intensity_deviation = 0.0  # 0: both are measured when training starts
    model.dtype = "auto"  # of activations; auto: bfloat16 on accelerators, float32 on a CPU; or either by name

    method = config.method = ConfigDict()
    method.name = sos_methods.SOS  # in tables
    method.use_low = True  # (p)
    method.use_high = True  # (p)
    method.use_policy = False
    method.use_deferral = False  # (o) a head on v, fitted to the validation slides, foretells what the HRN gains
    method.join = "add"  # (p) the residual connection; or `concat`, `none`
    method.stop_feature = False  # (o) True: the HRN's losses do not teach the LRN through its feature
    method.stop_paradoxical_low = False  # (o) True: L_2 teaches the HRN only
    method.low_weight = 1.0  # (o) of L_ce1
    method.high_weight = 1.0  # (o) of L_ce2
    method.paradoxical_weight = 1.0  # (o) of L_2
    method.hesitant_weight = 1.0  # (o) lambda1
    method.hurried_weight = 1.0  # (o) lambda2
    method.c = 0.90  # (o) confidence from which the LRN is left alone
    method.eps = 0.05  # (o) how far beyond c it should be
    method.policy_weight = 1.0  # (o) of REINFORCE
    method.entropy_weight = 0.01  # (o) of the bonus within it
    method.even_weight = 0.0  # (o) of KL(1/2 || policy) within it: a policy does not get stuck at one end
    method.baseline_decay = 0.95  # (o) of the running mean of rewards
    method.reward = "relative"  # (o) share of the LRN's cross entropy that is spared; `correct`: 1[HRN] - 1[LRN right]
    method.ask_cost = 0.0  # (o) taken off the reward wherever the HRN is asked; with a budget, in the first step
    # (o) Share of slides that the policy asks about. Below 1 the cost moves towards it in training, and after the last
    # step the policy's logit is moved to where so many of the validation slides are above 0.
    method.budget = 1.0
    method.budget_rate = 0.01  # (o) how far the cost moves in a step, for a share that is wholly beyond the budget
    method.gatekeeper_share = 0.0  # (o) last share of the steps in which Gatekeeper's loss is in the place of L_ce1
    method.gatekeeper_alpha = 0.5  # (o) its weight where the LRN is right; where it is wrong, 1 less it

    optimiser = config.optimiser = ConfigDict()  # (o)
    optimiser.learning_rate = 1e-4
    optimiser.warmup_share = 0.05
    optimiser.schedule = "cosine"  # to zero after the warm-up; or `constant`
    optimiser.b1 = 0.9
    optimiser.b2 = 0.999
    optimiser.weight_decay = 1e-4
    optimiser.clip_norm = 10.0
    optimiser.ema_decay = 0.0  # above 0 an average of the weights is kept and evaluated
    optimiser.accumulate = 4  # steps whose mean gradient makes one update

    inference = config.inference = ConfigDict()
    inference.rule = "confidence"  # (p) SOS's switch; `low`, `high`: always that network; `policy`: RDMS's;
    # `deferral`: the head's, where method.use_deferral
    inference.c = method.get_oneway_ref("c")  # (o) follows method.c unless set; may be chosen again without training
    inference.deferral_budget = 1.0  # (o) share of slides that may be asked by `deferral`; 1: all that may gain
    inference.top_k = 0  # (o) patches of a slide that the HRN looks at, those that the LRN finds telling; 0: all
    inference.top_k_tried = ()  # (o) other top_k whose accuracy is told beside, all from one look at the slides
    inference.slide_batch = 4
    inference.patch_batch = 16

    logging = config.logging = ConfigDict()
    logging.log_every = 40
    logging.save_every = 400  # a multiple of log_every and of optimiser.accumulate
    logging.keep_checkpoints = 2
    logging.bootstraps = 1000
    return config
