//! Target groups from static lists and files.
