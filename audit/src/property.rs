//! What the parts of the scheme must do, and versions of them that do not.
