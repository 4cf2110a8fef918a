/** Keeps our requests out of private, loopback, link-local, metadata and other networks that are not the public internet. */
import type { lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { lookUp } from './name-lookup.ts';

const networks: readonly [network: string, prefix: number, family: 'ipv4' | 'ipv6'][] = [
  ['0.0.0.0', 8, 'ipv4'], // this network
  ['10.0.0.0', 8, 'ipv4'], // private
  ['100.64.0.0', 10, 'ipv4'], // carrier-grade NAT
  ['127.0.0.0', 8, 'ipv4'], // loopback
  ['168.63.129.16', 32, 'ipv4'], // the platform of Azure, from each of its machines
  ['169.254.0.0', 16, 'ipv4'], // link-local, cloud metadata
  ['172.16.0.0', 12, 'ipv4'], // private
  ['192.0.0.0', 24, 'ipv4'], // protocol assignments
  ['192.0.2.0', 24, 'ipv4'], // documentation
  ['192.168.0.0', 16, 'ipv4'], // private
  ['198.18.0.0', 15, 'ipv4'], // benchmarking
  ['198.51.100.0', 24, 'ipv4'], // documentation
  ['203.0.113.0', 24, 'ipv4'], // documentation
  ['224.0.0.0', 3, 'ipv4'], // multicast, reserved, broadcast
  ['::', 96, 'ipv6'], // unspecified, loopback, IPv4-compatible: carries an IPv4 address
  ['::ffff:0:0:0', 96, 'ipv6'], // IPv4-translated
  ['64:ff9b::', 96, 'ipv6'], // NAT64: would reach any IPv4 address
  ['64:ff9b:1::', 48, 'ipv6'], // local-use NAT64
  ['100::', 64, 'ipv6'], // discard
  ['2001::', 23, 'ipv6'], // protocol assignments, Teredo
  ['2001:db8::', 32, 'ipv6'], // documentation
  ['2002::', 16, 'ipv6'], // 6to4: carries an IPv4 address
  ['3fff::', 20, 'ipv6'], // documentation (RFC 9637)
  ['fc00::', 7, 'ipv6'], // unique local
  ['fe80::', 10, 'ipv6'], // link-local
  ['fec0::', 10, 'ipv6'], // site-local
  ['ff00::', 8, 'ipv6'], // multicast
];

const blocked = new BlockList();
for (const [network, prefix, family] of networks) blocked.addSubnet(network, prefix, family);

/** @param address an IP address without brackets; anything else counts as private */
export function isPrivateAddress(address: string): boolean {
  const plain = address.split('%')[0] ?? '';
  const family = isIP(plain);
  if (family === 0) return true;
  // An IPv4 address mapped into IPv6 (::ffff:a.b.c.d) is checked by the IPv4 rows.
  return blocked.check(plain, family === 4 ? 'ipv4' : 'ipv6');
}

/** Thrown for a host with an address that is not public. */
export class PrivateNetworkError extends Error {
  constructor(host: string) {
    super(`${host} is in a private network`);
  }
}

/** A literal address is connected to without a lookup, so it is checked before. @throws PrivateNetworkError */
export function refusePrivateLiteral(url: URL): void {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0 && isPrivateAddress(host)) throw new PrivateNetworkError(host);
}

/**
 * A lookup for the connect of a request. It checks every address of a name and returns only checked ones, so a name that changes its
 * address between a check and the connect (DNS rebinding) gains nothing.
 */
export function onlyPublic(resolve: typeof lookup): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, []);
      if (addresses.some(({ address }) => isPrivateAddress(address)))
        return callback(new PrivateNetworkError(hostname), []);
      if (options.all) return callback(null, addresses);
      callback(null, addresses[0]?.address ?? '', addresses[0]?.family);
    });
  };
}

export const publicLookup: LookupFunction = onlyPublic(lookUp);
