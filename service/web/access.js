/** The key of a server that asks for one: kept for this tab alone, and sent to the page's own server only. */

const STORED_AS = "lockon-key";

/** The server wants a key, or another one than it got. */
export class KeyNeeded extends Error {}

export const hasKey = () => sessionStorage.getItem(STORED_AS) !== null;

export function keepKey(key) {
  sessionStorage.setItem(STORED_AS, key);
}

/** The JSON that an address of this server answers with. */
export async function asked(path, options = {}) {
  const headers = hasKey() ? { Authorization: `Bearer ${sessionStorage.getItem(STORED_AS)}` } : {};
  const answer = await fetch(path, { ...options, headers });
  const body = await answer.json();
  if (answer.status === 401) throw new KeyNeeded(body.detail);
  if (!answer.ok) throw new Error(body.detail);
  return body;
}

/** A ticket for one stream. */
export async function newTicket() {
  const { ticket } = await asked("/v1/tickets", { method: "POST" });
  return ticket;
}
