//! What checks the promises: nodes that do what honest ones would not, and nodes that write down what they are
//! told. Everything here is made from the public interfaces of `anon`, `node` and `ua`; production code has no
//! switch for any of it.
