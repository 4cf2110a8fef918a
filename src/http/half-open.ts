/** Servers of Node.js that answer a client which ends its half of the connection once it has asked (`nc -N`). */
import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http';

/** Made, and not listening yet. By default Node.js would end our half before the answer. */
export function makeHalfOpenServer(options: ServerOptions, handle: RequestListener): Server {
  return Object.assign(createServer(options, handle), { httpAllowHalfOpen: true });
}
