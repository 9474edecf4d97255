"""The studio: a page in the browser to collect images, train, understand, try and ship.

`app` holds the routes, which are thin; all else is in modules of plain functions and classes over a
folder on the disk (`project`, `uploads`, `thumbnails`, `jobs`, `models` and so on). What the studio
keeps lies in the folder's `.headstart`, which reading a data set passes over.
"""
