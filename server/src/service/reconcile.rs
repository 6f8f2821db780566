//! What nobody asks for: expired leases and stalled commits.
