/** Node.js servers for clients that close their half of the connection after their request (`nc -N`). */
import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http';

/** A server that does not listen yet. By default Node.js would close the connection of such a client before the answer. */
export function makeHalfOpenServer(options: ServerOptions, handle: RequestListener): Server {
  return Object.assign(createServer(options, handle), { httpAllowHalfOpen: true });
}
