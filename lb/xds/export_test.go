package xds

// Assignment makes an assignment without a server around it, for fuzzing.
var Assignment = assignment
