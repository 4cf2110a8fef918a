/** Names for what a Lua script is given. Both sides use one list of names, so that nobody counts places. */

/** Values that follow each other in KEYS or ARGV. The names are also those of locals in Lua. */
export function named<const Name extends string>(...names: readonly Name[]) {
  return {
    count: names.length,

    /** The values in the order in which the script reads them. */
    inOrder<Values extends Readonly<Record<Name, unknown>>>(values: Values): Values[Name][] {
      const list: Values[Name][] = [];
      for (const name of names) list.push(values[name]);
      return list;
    },

    /**
     * Lua: reads them into locals of the same names.
     * @param at where the first of them is, from 1: a number, or Lua for it
     * @param wanted those that are read
     */
    read(table: 'KEYS' | 'ARGV', at: number | string = 1, wanted: readonly Name[] = names): string {
      const places = wanted.map((name) => `${table}[${at} + ${names.indexOf(name)}]`);
      return `local ${wanted.join(', ')} = ${places.join(', ')}`;
    },
  };
}
