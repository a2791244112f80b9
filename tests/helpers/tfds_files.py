"""Small data sets in TFDS's own files, written without TensorFlow: what ``make data`` leaves behind."""

import io
import json
from pathlib import Path

import numpy as np

_TFDS = "tensorflow_datasets.core.features"
_CLASSES = {
    "image": f"{_TFDS}.image_feature.Image",
    "label": f"{_TFDS}.class_label_feature.ClassLabel",
    "text": f"{_TFDS}.text_feature.Text",
}


def images(count, shape, *, seed=0):
    """``count`` images of ten classes that a linear model can tell apart, with their labels in turn."""
    rng = np.random.default_rng(seed)
    prototypes = np.random.default_rng(99).integers(0, 200, (10, *shape))
    labels = np.arange(count) % 10
    noise = rng.integers(0, 56, (count, *shape))
    return {"image": (prototypes[labels] + noise).astype(np.uint8), "label": labels.astype(np.uint8)}


def write(root, name, version, splits):
    """Writes a prepared data set: ``splits`` maps a split to ``{"image", "label"}`` or to a text."""
    from array_record.python.array_record_module import ArrayRecordWriter

    directory = Path(root) / name / version
    directory.mkdir(parents=True)
    described = []
    for split, content in splits.items():
        examples = list(_examples(content))
        writer = ArrayRecordWriter(
            str(directory / f"{name}-{split}.array_record-00000-of-00001"), "group_size:1"
        )
        for example in examples:
            writer.write(example)
        writer.close()
        described.append(
            {
                "name": split,
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                "numBytes": str(sum(map(len, examples))),
                "shardLengths": [str(len(examples))],
            }
        )
    info = {"name": name, "version": version, "fileFormat": "array_record", "splits": described}
    (directory / "dataset_info.json").write_text(json.dumps(info))
    features = {"featuresDict": {"features": _features(next(iter(splits.values())))}}
    features["pythonClassName"] = f"{_TFDS}.features_dict.FeaturesDict"
    (directory / "features.json").write_text(json.dumps(features))
    return directory


def _features(content):
    if isinstance(content, str):
        return {"text": {"pythonClassName": _CLASSES["text"], "text": {}}}
    dimensions = [str(size) for size in content["image"].shape[1:]]
    image = {"dtype": "uint8", "shape": {"dimensions": dimensions}}
    return {
        "image": {"pythonClassName": _CLASSES["image"], "image": image},
        "label": {"pythonClassName": _CLASSES["label"], "classLabel": {"numClasses": "10"}},
    }


def _examples(content):
    from PIL import Image
    from tensorflow_datasets.proto import tf_example_pb2, tf_feature_pb2

    def example(**features):
        feature = {}
        for name, value in features.items():
            if isinstance(value, bytes):
                feature[name] = tf_feature_pb2.Feature(bytes_list=tf_feature_pb2.BytesList(value=[value]))
            else:
                feature[name] = tf_feature_pb2.Feature(int64_list=tf_feature_pb2.Int64List(value=[value]))
        features = tf_feature_pb2.Features(feature=feature)
        return tf_example_pb2.Example(features=features).SerializeToString()

    if isinstance(content, str):
        yield example(text=content.encode())
        return
    for image, label in zip(content["image"], content["label"], strict=True):
        file = io.BytesIO()
        Image.fromarray(image.squeeze()).save(file, "png")
        yield example(image=file.getvalue(), label=int(label))
