"""Every setting of FocalMix, at the size of the paper's patches; the parent of the configs beside it.

Marks: (p) stated by the paper (arXiv 2003.09108), (f) read off its figure 2, (c) a convention of LUNA16 code, (o) our
choice, because the paper's value is not known to us. Lengths are in mm, which are voxels after resampling to 1 mm.
"""

from ml_collections import ConfigDict


def get_config(_: str = "") -> ConfigDict:
    """100 labelled and 400 unlabelled scans, patches of 160 mm."""
    config = ConfigDict()
    config.command = "experiments.focalmix"  # what trains it
    config.seed = 0
    config.steps = 30_000  # (o)

    data = config.data = ConfigDict()
    data.data_set = "luna16"  # or `folder`: scans of your own
    data.manual_dir = "data/LUNA16"  # the unpacked download
    data.data_dir = "data/tfds"  # the prepared data set
    data.allow_absent = False  # True: goes on without scans that are not there or cannot be read
    data.workers = 0  # processes that prepare; 0: as many as there are cores
    data.cache_dir = "data/cache"  # memory-mapped arrays for crops
    data.mask_lungs = True  # (c) 170/255 outside the dilated lungs
    data.region = "lungs"  # (c) where patches are drawn and marks are kept; `body` for lesions elsewhere
    data.window_hu = (-1200, 600)  # (c) HU that become -1 to 1; within these
    data.spacing_mm = 1.0  # (p) side of the voxels; sides of patches are in voxels, those of anchors in mm

    split = config.split = ConfigDict()
    split.seed = 0
    split.train_subsets = (0, 1, 2, 3, 4, 9)  # 533 scans (p); which ones: (o)
    split.test_subsets = (5, 6, 7, 8)  # 355 scans (p); which ones: (o)
    split.labelled = 100  # (p) 25, 50 or 100; -1: every training scan that is not unlabelled
    split.unlabelled = 400  # (p) training scans whose labels are not looked at; -1: every one that is not labelled
    split.unlabelled_extra = 0  # scans that have no labels, such as NLST's; -1: all
    split.validation = 0  # (o) training scans, patients whole, that are not trained on but scored while training

    patches = config.patches = ConfigDict()
    patches.side = 160  # (p)
    patches.labelled_batch = 8  # (p)
    patches.unlabelled_batch = 8  # (p); 0 trains the supervised baseline
    patches.max_objects = 8  # (o) boxes kept a patch
    patches.nodule_share = 0.7  # (o) labelled patches drawn round a nodule, the others anywhere in the lungs
    patches.unlabelled_nodule_share = 0.0  # (o) above 0: an oracle's, that share is drawn round hidden nodules
    patches.candidate_share = 0.0  # (o) of the unlabelled patches, once they count: round what the detector then marks
    patches.candidates = 3  # (o) best marks of an unlabelled scan that are candidates
    patches.jitter = 48  # (o) how far from the centre that nodule may lie, before scaling
    patches.scale_range = (0.75, 1.25)  # (o)
    patches.symmetry_group = "flips"  # (o) `flips` (8) or `cube` (48)
    patches.loader_threads = 8

    model = config.model = ConfigDict()  # (p) a 3-D FPN; (o) all sizes
    model.stem_features = 24  # channels at full resolution; 0: space-to-depth instead
    model.features = (32, 64, 128, 256)  # at strides 2, 4, 8, 16
    model.blocks = (2, 2, 3, 3)
    model.pyramid_features = 64
    model.head_depth = 2
    model.prior = 0.01
    model.remat = False  # (o) True keeps less for the backward pass and computes it again; on accelerators only
    model.dtype = "auto"  # (o) of activations; auto: bfloat16 on accelerators, float32 on a CPU; or either by name

    anchors = config.anchors = ConfigDict()
    anchors.strides = (4, 8, 16)  # (f)
    anchors.sides_mm = ((4.5, 7.0, 10.0), (14.0, 20.0), (28.0, 40.0))  # (o)
    anchors.positive_iou = 0.35  # (o) or the best anchor of a nodule
    anchors.ignored_iou = 0.1  # (o)

    loss = config.loss = ConfigDict()
    loss.negative_weight = 0.05  # (o) a0
    loss.positive_weight = 0.95  # (o) a1; (p) the larger one
    loss.gamma = 2.0  # (o); 0: cross-entropy
    loss.box_weight = 1.0  # (o)
    loss.normaliser = "common"  # (o) or `own`: labelled and unlabelled patches each divided by their positives

    ssl = config.ssl = ConfigDict()
    ssl.views = 4  # (o) K
    ssl.views_at_once = 1  # (o) of them predicted as one batch: more where memory allows it and the device has room
    ssl.view_group = "flips"  # (o) `cube` adds the quarter turns
    ssl.temperature = 0.7  # (f) only 0.69 to 0.73 fits
    ssl.ramp_start_share = 0.0  # (o) share of the steps before unlabelled patches count
    ssl.judge_pseudo_labels = False  # logs how right they are where scans have labels after all; changes nothing else
    ssl.ramp_share = 0.15  # (o) share of the steps in which their weight grows to ssl.weight
    ssl.weight = 1.0  # (o) of an unlabelled patch beside a labelled one
    ssl.targets = (
        "pseudo"  # (p); (o): `sure`, `marks`: as below; `background`: scans known to have none; `truth`: oracle
    )
    ssl.sure_positive_ratio = 0.5  # (o) anchors that become 1 an unlabelled patch, over the positives a labelled one
    ssl.sure_positive_from = 0.3  # (o) and only from this probability
    ssl.sure_background_below = 0.05  # (o) below it anchors become 0; those between keep their probability
    ssl.marks_found_share = 0.6  # (o) `marks`: of the nodules expected, the best marks that are taken for nodules
    ssl.marks_doubtful_share = 2.0  # (o) and those up to here are not learnt from; every other place is background
    ssl.searches = 1  # (o) for marks and candidates: when the burn-in ends, and evenly from there
    ssl.teacher = "student"  # (f); `ema` (o): the average of the weights makes the targets

    mixup = config.mixup = ConfigDict()
    mixup.image = True  # (p)
    mixup.object = True  # (p)
    mixup.across = True  # (p) False (o): labelled patches mix with labelled ones, unlabelled with unlabelled
    mixup.group = 16  # (o) rows that mix with each other, one paper's batch: few devices exchange patches
    mixup.eta = 0.2  # (o)
    mixup.object_window = 48  # (o) objects that do not fit are left alone
    mixup.object_score = 0.9  # (o) from which a pseudo-labelled box counts as an object
    mixup.object_nms_iou = 0.1  # (o)

    augmentation = config.augmentation = ConfigDict()  # (o) of the student's unlabelled patches; all off: the paper's
    augmentation.labelled = False  # of its labelled patches too
    augmentation.intensity_scale = 0.0  # contrast times 1 +- this
    augmentation.intensity_shift = 0.0  # brightness +- this; 1 is 900 HU
    augmentation.blur = 0.0  # largest sigma of a Gaussian, voxels
    augmentation.noise = 0.0  # largest standard deviation; 1 is 900 HU
    augmentation.cut_out = 0.0  # largest side of a cube of the patch's mean, as a share of the patch's side

    optimiser = config.optimiser = ConfigDict()  # (o) but for the last
    optimiser.learning_rate = 1e-3
    optimiser.warmup_share = 0.05
    optimiser.schedule = "cosine"  # to zero after the warm-up; or `constant`
    optimiser.b1 = 0.9
    optimiser.b2 = 0.999
    optimiser.weight_decay = 1e-4
    optimiser.clip_norm = 10.0
    optimiser.ema_decay = 0.0  # (f) current weights; above 0 an average is kept and evaluated

    inference = config.inference = ConfigDict()  # (o) but for the number of marks
    inference.overlap = 32
    inference.window_batch = 4
    inference.candidates = 256  # best anchors a window that enter NMS
    inference.window_detections = 32
    inference.scan_candidates = 1024
    inference.score_threshold = 0.02
    inference.nms_iou = 0.1
    inference.marks = 100  # LUNA16's limit

    score = config.score = ConfigDict()
    score.fps_per_scan = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # LUNA16's, of which the CPM is the mean
    score.checkpoint = "last"  # or `best` on the validation scans (o)

    validation = config.validation = ConfigDict()
    validation.every = 0  # (o) steps between two scores on the validation scans, a multiple of logging.save_every

    logging = config.logging = ConfigDict()
    logging.log_every = 50
    logging.save_every = 500  # a multiple of log_every
    logging.keep_checkpoints = 2
    logging.bootstraps = 1000
    return config
