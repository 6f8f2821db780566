//! Use cases. They know the store, the queue and storages, and nothing of gRPC.
