//! `usher worker`: works the queue until told to stop.
