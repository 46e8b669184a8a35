//! L2 one client association.
