//! The store on Redis or Valkey: for services and several machines.
