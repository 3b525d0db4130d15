import { counter, gauge } from "#kits/exporter/page";
import { openAdjtimex, TIME_ERROR } from "../adjtimex.ts";
import { type CollectorDefinition, NoDataError } from "../collector.ts";

const value = (name: string, help: string) => gauge(`node_timex_${name}`, help);
const total = (name: string, help: string) => counter(`node_timex_${name}_total`, help);

const syncStatus = value("sync_status", "Is clock synchronized to a reliable server (1 = yes, 0 = no).");
const offset = value("offset_seconds", "Time offset in between local system and reference clock.");
const frequency = value("frequency_adjustment_ratio", "Local clock frequency adjustment.");
const maxError = value("maxerror_seconds", "Maximum error in seconds.");
const estimatedError = value("estimated_error_seconds", "Estimated error in seconds.");
const status = value("status", "Value of the status array bits.");
const constant = value("loop_time_constant", "Phase-locked loop time constant.");
const tick = value("tick_seconds", "Seconds between clock ticks.");
const ppsFrequency = value("pps_frequency_hertz", "Pulse per second frequency.");
const ppsJitter = value("pps_jitter_seconds", "Pulse per second jitter.");
const ppsShift = value("pps_shift_seconds", "Pulse per second interval duration.");
const ppsStability = value("pps_stability_hertz", "Pulse per second stability, average of recent frequency changes.");
const jitterCount = total("pps_jitter", "Pulse per second count of jitter limit exceeded events.");
const calibrationCount = total("pps_calibration", "Pulse per second count of calibration intervals.");
const errorCount = total("pps_error", "Pulse per second count of calibration errors.");
const stabilityCount = total("pps_stability_exceeded", "Pulse per second count of stability limit exceeded events.");
const tai = value("tai_offset_seconds", "International Atomic Time (TAI) offset.");

/** The status bit that says that offset and jitter are in nanoseconds. */
const STA_NANO = 0x2000;
const MICRO = 1e6;
const NANO = 1e9;
/** Parts per million with a fraction of 16 bits. */
const SCALED_PPM = 1e6 * 65_536;

export const timex: CollectorDefinition = {
  name: "timex",
  enabledByDefault: true,
  create({ log }) {
    const adjtimex = openAdjtimex();
    if (adjtimex === undefined) {
      log.warn("this version of Node cannot ask the kernel about its clock, so there are no node_timex_ metrics", {
        hint: "run on Node 26 or newer, or disable the collector timex",
      });
    }
    return {
      collect(page) {
        if (adjtimex === undefined) throw new NoDataError("no way to call adjtimex");
        const clock = adjtimex();
        const divisor = (clock.status & STA_NANO) === 0 ? MICRO : NANO;
        page.add(syncStatus, clock.state === TIME_ERROR ? 0 : 1);
        page.add(offset, clock.offset / divisor);
        page.add(frequency, 1 + clock.freq / SCALED_PPM);
        page.add(maxError, clock.maxerror / MICRO);
        page.add(estimatedError, clock.esterror / MICRO);
        page.add(status, clock.status);
        page.add(constant, clock.constant);
        page.add(tick, clock.tick / MICRO);
        page.add(ppsFrequency, clock.ppsfreq / SCALED_PPM);
        page.add(ppsJitter, clock.jitter / divisor);
        page.add(ppsShift, clock.shift);
        page.add(ppsStability, clock.stabil / SCALED_PPM);
        page.add(jitterCount, clock.jitcnt);
        page.add(calibrationCount, clock.calcnt);
        page.add(errorCount, clock.errcnt);
        page.add(stabilityCount, clock.stbcnt);
        page.add(tai, clock.tai);
      },
    };
  },
};
