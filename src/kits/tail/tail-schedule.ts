/** What the tailer notes at each of its tails: when it has its turn, and where it is watched. */
export class TailSchedule {
  /** Monotonic time of the next look at the file. */
  dueMs = 0;
  /** Present pause between two looks. */
  pauseMs = 0;
  /** In the queue of work or being worked on, … */
  queued = false;
  /** … and something happened to the file meanwhile. */
  woken = false;
  /** For the tailer's alarms. */
  alarmSlot = 0;
  /** The path and what links on the way to the file lead to, where it is watched. */
  names: readonly string[] = [];
  /** Monotonic time of the next glance while it is queued. */
  glanceMs = 0;
}
