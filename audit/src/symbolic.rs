//! Models of the handshake, run by Verifpal where it is installed.
