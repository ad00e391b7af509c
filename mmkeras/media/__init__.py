"""What modalities read, in numpy: pictures, DICOM, point clouds, texts; poses and a canvas. No TensorFlow."""
