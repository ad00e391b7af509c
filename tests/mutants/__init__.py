"""Plants faults in exports, bundles and preprocessing, and counts those that the export or the self-test catches.

pictures, subject, models   what is exported: a small trained model, and other trainings of it
kind, kinds/                the faults; a module in kinds/ holds those of one place
probe, litert_weights, onnx_weights, keras_weights     how a fault gets into a runner or a file
bench                       plants one fault in every file and asks gate and self-test
honest                      exports without a fault, which must not be refused
worker, account, table      processes, what is done so far, what is shown
"""
