//! Sower's Kubernetes resource types, and what is generated from them.
