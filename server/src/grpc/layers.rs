//! Tower layers of the public listener.
