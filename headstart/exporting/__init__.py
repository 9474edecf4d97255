"""A classifier in other formats: keras, ONNX, OpenVINO, LiteRT, SavedModel, or a folder for a hub.

A bundle goes in; out comes a model from decoded images to probabilities, with preprocessing and
temperature inside. Each is run by its own runtime on images and compared with the classifier
computing in float32 before it is kept.
"""

from headstart.exporting.face import export
from headstart.exporting.result import Agreement, Export
from headstart.exporting.target import FORMATS, INT8_FORMATS

__all__ = ["FORMATS", "INT8_FORMATS", "Agreement", "Export", "export"]
