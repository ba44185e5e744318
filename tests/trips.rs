//! Both trips, end to end.
