"""Compares files that other tools made: ``mmkeras verify FILE --reference FILE_OR_SAVEDMODEL --data TABLE``.

`model` opens a file, `match` pairs its inputs and outputs with the reference's, `rows` and `feeds` turn the rows of a
table into inputs, `measure` runs both files, `checks` refuses a comparison that shows nothing, and `diagnosis` searches
for the preprocessing or the change of an output that explains a difference.
"""
