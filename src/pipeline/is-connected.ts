/** is-connected: whether some worker has a connection to a transport. Its server is well then, also when it takes no more. */
import type { Transports } from '../outbound/transports.ts';
import type { Allotments } from '../store/allotments.ts';

type Deps = {
  transports: Pick<Transports, 'get'>;
  allotments: Pick<Allotments, 'pools'>;
  now(): number;
};

export async function isConnected({ transports, allotments, now }: Deps, name: string): Promise<boolean> {
  if ((transports.get(name)?.pool.open ?? 0) > 0) return true;
  return ((await allotments.pools([name], now())).get(name)?.open ?? 0) > 0;
}
