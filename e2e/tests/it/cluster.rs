//! The cluster itself: what every other scenario takes for granted.
