/** Why a stream ended, in words for people. */

const CLOSE_WORDS = {
  1000: "The server ended the stream.",
  1001: "The server is going away.",
  1006: "The connection to the server broke.",
  1008: "The server refused the connection.",
  1009: "The image is too large for the server.",
  1011: "The server failed, or the connection stopped answering.",
  1012: "The server is restarting. Try again in a moment.",
  1013: "The server is overloaded. Try again in a moment.",
  4400: "The server did not accept the request.",
  4401: "The access key is missing or has expired.",
  4403: "The access key does not allow this.",
  4404: "There is no such session.",
  4408: "The connection was idle for too long.",
  4409: "Another connection took the session over.",
  4410: "The session was deleted or has expired.",
  4413: "Too much data in too short a time.",
  4415: "The server could not use the images.",
  4422: "Too many invalid requests.",
  4429: "Too many frames in too short a time.",
  4503: "The server is full. Try again in a moment.",
};

/** A close code in plain words. */
export function closeWords(code, reason = "") {
  const words = CLOSE_WORDS[code] ?? "The server closed the connection.";
  return reason ? `${words} (${reason})` : words;
}
