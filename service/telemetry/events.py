"""What is logged: the closed list of kinds of lines, and their fields; `service.telemetry.documents` lists them."""

from __future__ import annotations

OF_A_LIBRARY = "library"

EVENTS = {
    "ready": "The server takes connections; which models, what runs them",
    "session_open": "A session was created",
    "session_close": "A session ended: why, how long it lived, its counters",
    "session_failed": "A fault of ours in one session, with the traceback; that session alone is closed",
    "socket_close": "A socket ended: its code, how long it was open",
    "socket_refused": "A socket was not opened, or refused after its first message: which problem or close code",
    "request_failed": "A fault of ours in an HTTP request, with the traceback; the answer has the same `req`",
    "frame_failed": "A fault of the model's or of ours on one frame, with the traceback; the session goes on",
    "batch_failed": "A fault of ours in a worker, with the traceback; all frames of that batch are lost",
    "batch_split": "A batch failed, and each of its frames alone did not: from now on at most half as many go together",
    "overload": "Frames are lost for want of time, and the network looks at fewer of them (`cadence`); or no more",
    "session_lost": "A session that another server had left could not be taken over, and why",
    "session_model": "A session that was taken over goes on with another package of its model",
    "draining": "The server is to stop: clients are asked to leave, and have time to",
    "peer_joined": "Another server shares the store; `peer` is where clients reach it",
    "peer_left": "Another server has stopped, or was not heard of for five seconds",
    "store_up": "The session store answers",
    "store_away": "The session store does not answer, or not every session was saved at the end; tracking goes on",
    "model_loaded": "A model is warm and offered",
    "model_refused": "A model of the settings could not be loaded; what was served before still is",
    "model_retiring": "A model takes no new sessions",
    "model_gone": "The last session of a retiring model has ended, its memory is free",
    "settings_refused": "The settings were to be read again and are wrong; nothing changed",
    "keys_read": "The file of keys has changed and was read again",
    "keys_refused": "The file of keys has changed and is wrong; the old keys stand",
    "jwks_refused": "The token issuer's keys could not be renewed; the old ones stand for a day",
    "jwks_key_refused": "One of the issuer's keys is of no use here",
    OF_A_LIBRARY: "A line of a library's, such as the web server's",
}

FIELDS = {
    "ts": "UTC, ISO 8601",
    "level": "`debug`, `info`, `warning`, `error`",
    "event": "the kind of line, from the list above",
    "msg": "the same in words",
    "version": "of this server",
    "session": "the session's id",
    "tenant_hash": "a pseudonym of whose session it is: a key's client, or a token's tenant",
    "peer": "where clients reach another server",
    "node": "the name of a server's process at the store",
    "peer_prefix": "the client's network, /24 or /48; never its address",
    "req": "the HTTP request, as `instance` in its answer",
    "epoch": "which socket of the session, from 1",
    "model": "the model's id",
    "code": "a close code, or the code of a problem",
    "reason": "why, in a word or a line",
    "cadence": "the network looks at one of so many frames at least",
    "dur_ms": "how long it took or lasted",
    "trace_id": "the trace that the socket's frames belong to, where traces are on",
    "repeated": "lines of this kind that were left out since the last one",
    "exception": "the traceback",
}
