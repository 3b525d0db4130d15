/**
 * Link modes by their bit in the first 32 of `enum ethtool_link_mode_bit_indices` (`linux/ethtool.h`), which is all that
 * the request tells that node_exporter makes: bit, megabits a second, duplex, name.
 */
export const SPEEDS = [
  [0, 10, "half", "10baseT"],
  [1, 10, "full", "10baseT"],
  [2, 100, "half", "100baseT"],
  [3, 100, "full", "100baseT"],
  [4, 1000, "half", "1000baseT"],
  [5, 1000, "full", "1000baseT"],
  [12, 10_000, "full", "10000baseT"],
  [17, 1000, "full", "1000baseKX"],
  [18, 10_000, "full", "10000baseKX4"],
  [19, 10_000, "full", "10000baseKR"],
  [20, 10_000, "full", "10000baseR_FEC"],
  [21, 20_000, "full", "20000baseMLD2"],
  [22, 20_000, "full", "20000baseKR2"],
  [23, 40_000, "full", "40000baseKR4"],
  [24, 40_000, "full", "40000baseCR4"],
  [25, 40_000, "full", "40000baseSR4"],
  [26, 40_000, "full", "40000baseLR4"],
  [27, 56_000, "full", "56000baseKR4"],
  [28, 56_000, "full", "56000baseCR4"],
  [29, 56_000, "full", "56000baseSR4"],
  [30, 56_000, "full", "56000baseLR4"],
  [31, 25_000, "full", "25000baseCR"],
] as const;

export const PORTS = [
  [7, "TP"],
  [8, "AUI"],
  [9, "MII"],
  [10, "FIBRE"],
  [11, "BNC"],
  [16, "Backplane"],
] as const;
