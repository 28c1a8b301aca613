"""Firebase Cloud Messaging, HTTP v1 API. firebase_admin is imported below this package only: it costs 22 MB."""
