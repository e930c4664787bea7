package httpd

// Handler is what an origin serves, without a listener.
var Handler = Options.handler
