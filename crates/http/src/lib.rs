//! HTTP client by upstream's http_config, and the server side: listeners, limits, request metrics.
