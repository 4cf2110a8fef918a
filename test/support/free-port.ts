/** A port for what can only be told its port beforehand. */
import { createServer } from 'node:net';

/** One that nothing on this machine listens at as it is asked for. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await new Promise((listening) => probe.once('listening', listening));
  const { port } = probe.address() as { port: number };
  await new Promise((closed) => probe.close(closed));
  return port;
}
