/** The guard of our own requests: which addresses are public, and that nothing but what was checked is connected to. */
import type { lookup } from 'node:dns';
import { connect, createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { isPrivateAddress, onlyPublic, PrivateNetworkError } from '../../src/outbound/private-networks.ts';

describe('an address', () => {
  it.each([
    '127.0.0.1',
    '127.255.0.1',
    '10.1.2.3',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.0.1',
    '169.254.169.254',
    '168.63.129.16',
    '::ffff:168.63.129.16',
    '0.0.0.0',
    '100.64.0.1',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:a9fe:a9fe',
    'fe80::1',
    'fe80::1%eth0',
    'fc00::1',
    'fd12::1',
    'ff02::1',
    '64:ff9b::7f00:1',
    '64:ff9b:1::a00:1',
    '::127.0.0.1',
    '::ffff:0:127.0.0.1',
    '::ffff:192.168.1.1',
    '::ffff:100.64.0.1',
    'fe80::a9fe:a9fe%1',
    '2002:7f00:1::',
    '3fff::1',
    '3fff:fff:ffff::1',
    'x',
  ])('%s is private', (address) => {
    expect(isPrivateAddress(address)).toBe(true);
  });

  it.each([
    '1.1.1.1',
    '8.8.8.8',
    '172.32.0.1',
    '100.128.0.1',
    '168.63.129.17',
    '3fff:1000::1',
    '2606:4700::1111',
    '::ffff:8.8.8.8',
  ])('%s is public', (address) => {
    expect(isPrivateAddress(address)).toBe(false);
  });
});

/** A resolver that gives each call the next of these answers. */
function resolverOf(...answers: string[][]): typeof lookup & { calls: number } {
  const resolve = (_: string, __: object, callback: (error: null, addresses: object[]) => void) => {
    const addresses = answers[resolve.calls] ?? [];
    resolve.calls += 1;
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  };
  resolve.calls = 0;
  return resolve as unknown as typeof lookup & { calls: number };
}

function lookUp(resolve: typeof lookup, all: boolean): Promise<unknown> {
  return new Promise((found, failed) => {
    onlyPublic(resolve)('name.example', { all }, (error, addresses) => (error ? failed(error) : found(addresses)));
  });
}

describe('a guarded lookup', () => {
  it('hands on what it checked and asks once: an answer that changes afterwards is not seen', async () => {
    const resolve = resolverOf(['8.8.8.8', '2606:4700::1111'], ['127.0.0.1']);
    expect(await lookUp(resolve, true)).toEqual([
      { address: '8.8.8.8', family: 4 },
      { address: '2606:4700::1111', family: 6 },
    ]);
    expect(resolve.calls).toBe(1);
    await expect(lookUp(resolve, true)).rejects.toThrow('name.example is in a private network');
    expect(await lookUp(resolverOf(['8.8.8.8', '1.1.1.1']), false)).toBe('8.8.8.8');
  });

  it.each([[['127.0.0.1']], [['8.8.8.8', '10.0.0.1']], [['2606:4700::1111', '::ffff:10.0.0.1']]])(
    'refuses a name with any private address: %j',
    async (addresses) => {
      for (const all of [true, false])
        await expect(lookUp(resolverOf(addresses), all)).rejects.toThrow(PrivateNetworkError);
    },
  );

  it('ends the connect it was asked for', async () => {
    let connections = 0;
    const server = createServer(() => connections++);
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const { port } = server.address() as { port: number };
    const socket = connect({ host: 'name.example', port, lookup: onlyPublic(resolverOf(['127.0.0.1'])) });
    const error = await new Promise((ended) => socket.once('error', ended));
    expect(error).toBeInstanceOf(PrivateNetworkError);
    await new Promise((closed) => server.close(closed));
    expect(connections).toBe(0);
  });
});
