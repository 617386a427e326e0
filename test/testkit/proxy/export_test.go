package proxy

// ReadFrame lets the tests read messages as the proxy does.
var ReadFrame = readFrame
