//! Commands from any replica to the one that a worker is connected to.
