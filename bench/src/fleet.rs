//! The catalogue: which metrics each kind of target of the fleet exposes.

use crate::workload::{Builder, Model, Rng, Series, Spec, Target};

/// One pod's life; a replaced pod leaves its slot to a new one with new names.
pub struct Pod {
    namespace: &'static str,
    app: String,
    name: String,
    uid: String,
    ip: String,
    container_id: String,
    image: String,
    life: (u32, u32),
}

const NAMESPACES: [&str; 10] = [
    "default",
    "kube-system",
    "monitoring",
    "checkout",
    "payments",
    "catalog",
    "search-prod",
    "data-platform",
    "identity",
    "edge-gateway",
];
#[rustfmt::skip]
const SERVICES: [&str; 12] = [
    "api", "worker", "frontend", "cart-service", "order-processor", "event-consumer", "cache", "proxy", "scheduler", "notification-sender",
    "session-store", "indexer",
];
#[rustfmt::skip]
const BUCKETS: [(&str, f64); 12] = [
    ("0.005", 0.08), ("0.01", 0.21), ("0.025", 0.44), ("0.05", 0.63), ("0.1", 0.79), ("0.25", 0.91), ("0.5", 0.957), ("1", 0.981), ("2.5", 0.993),
    ("5", 0.998), ("10", 0.9995), ("+Inf", 1.0),
];
/// 2025-ish; for gauges that hold a start time, seconds.
const BOOT: f64 = 1.75e9;
const GIB: f64 = (1u64 << 30) as f64;

/// What all pods of one slot share: they are replicas of it, one after the other.
pub struct Deployment {
    namespace: &'static str,
    app: String,
    hash: String,
    image: String,
}

impl Deployment {
    pub fn new(rng: &mut Rng) -> Self {
        let namespace = NAMESPACES[rng.below(NAMESPACES.len() as u64) as usize];
        let app = format!(
            "{}-{}",
            namespace.split('-').next().unwrap_or(""),
            SERVICES[rng.below(SERVICES.len() as u64) as usize]
        );
        let hash = rng.text(b"bcdfghjklmnpqrstvwxz2456789", 10);
        let image =
            format!("{namespace}/{app}:v1.{}.{}@sha256:{}", rng.below(40), rng.below(10), rng.hex(64));
        Deployment { namespace, app, hash, image }
    }

    /// The next pod; `life` is its first scrape and that of its stale markers.
    pub fn pod(&self, rng: &mut Rng, cluster: u32, life: (u32, u32)) -> Pod {
        Pod {
            namespace: self.namespace,
            app: self.app.clone(),
            name: format!("{}-{}-{}", self.app, self.hash, rng.text(b"bcdfghjklmnpqrstvwxz2456789", 5)),
            uid: format!("{}-{}-{}-{}-{}", rng.hex(8), rng.hex(4), rng.hex(4), rng.hex(4), rng.hex(12)),
            ip: format!("10.{}.{}.{}", 100 + cluster % 100, rng.below(255), rng.below(255)),
            container_id: rng.hex(64),
            image: self.image.clone(),
            life,
        }
    }
}

/// The pods that one slot has through the whole of a run.
fn pods_of_slot(rng: &mut Rng, spec: &Spec, cluster: u32) -> Vec<Pod> {
    let deployment = Deployment::new(rng);
    let period = spec.rounds_of(spec.churn_minutes).max(1);
    let mut births = vec![0];
    for start in (0..spec.all_rounds()).step_by(period as usize) {
        if rng.unit() < spec.churn {
            births.push(start + 1 + rng.below(u64::from(period)) as u32);
        }
    }
    births.dedup();
    let ends = births[1..].iter().copied().chain([u32::MAX]).collect::<Vec<_>>();
    let lives = births.iter().copied().zip(ends);
    lives.map(|life| deployment.pod(rng, cluster, life)).collect()
}

/// Names of the clusters.
pub fn clusters(spec: &Spec) -> Vec<String> {
    (0..spec.clusters)
        .map(|c| format!("{}-{:02}", ["prod-eu", "prod-us", "stage-ap", "edge"][c as usize % 4], c))
        .collect()
}

/// The target of kube-state-metrics of cluster number `c`.
pub fn state_metrics(rng: &mut Rng, spec: &Spec, c: usize, cluster: &str) -> Builder {
    Builder::new(rng, spec, cluster, "kube-state-metrics", &format!("10.{}.0.10:8080", 100 + c % 100))
}

/// The name of node number `node`, which is in cluster number `c`.
pub fn node_name(c: usize, node: u32, cluster: &str) -> String {
    format!("ip-10-{}-{}-{}.{cluster}.internal", c % 100, node / 250, node % 250)
}

/// The kubelet's target of that node.
pub fn kubelet(rng: &mut Rng, spec: &Spec, c: usize, node: u32, cluster: &str) -> Builder {
    let instance = format!("10.{}.{}.{}:10250", c % 100, node / 250, node % 250);
    Builder::new(rng, spec, cluster, "kubelet", &instance)
}

/// How busy a node is, 0..1. Some clusters run hot, so that a "> 70 %" filter has something to find.
pub fn busy(rng: &mut Rng, c: usize) -> f64 {
    (0.25 + 0.6 * f64::from(c as u32 % 5) / 4.0 + 0.1 * (rng.unit() - 0.5)).clamp(0.05, 0.95)
}

/// All targets of the fleet.
pub fn fleet(spec: &Spec) -> Vec<Target> {
    let mut rng = Rng::new(spec.seed);
    let mut out: Vec<Target> = Vec::new();
    let names = clusters(spec);
    let mut states: Vec<Builder> =
        names.iter().enumerate().map(|(c, n)| state_metrics(&mut rng, spec, c, n)).collect();
    let active = |b: &[Series]| b.iter().filter(|s| s.from == 0).count();
    let (mut node, mut total) = (0u32, 0usize);
    while total < spec.series as usize {
        let c = (node % spec.clusters) as usize;
        let (cluster, before, ksm_before) = (&names[c], out.len(), active(&states[c].target.series));
        let node_name = node_name(c, node, cluster);
        let busy = busy(&mut rng, c);
        node_exporter(&mut rng, spec, cluster, &node_name, busy, &mut out);
        let mut cadvisor = kubelet(&mut rng, spec, c, node, cluster);
        kube_node(&mut states[c], &node_name);
        for _ in 0..spec.pods {
            for pod in pods_of_slot(&mut rng, spec, c as u32) {
                container(&mut cadvisor, &pod, &node_name);
                kube_pod(&mut states[c], &pod, &node_name);
                application(&mut rng, spec, cluster, &pod, &node_name, &mut out);
            }
        }
        cadvisor.finish(&mut out);
        total += out[before..].iter().map(|t| active(&t.series)).sum::<usize>()
            + active(&states[c].target.series)
            - ksm_before;
        node += 1;
    }
    for state in states {
        state.finish(&mut out);
    }
    out
}

#[rustfmt::skip]
pub fn node_exporter(rng: &mut Rng, spec: &Spec, cluster: &str, node: &str, busy: f64, out: &mut Vec<Target>) {
    let mut b = Builder::new(rng, spec, cluster, "node-exporter", &format!("{node}:9100"));
    let modes = [
        ("idle", 1.0 - busy), ("user", busy * 0.62), ("system", busy * 0.25), ("iowait", busy * 0.06), ("softirq", busy * 0.04), ("irq", busy * 0.03),
        ("nice", 0.0), ("steal", 0.0),
    ];
    for cpu in 0..spec.cpus {
        let cpu = cpu.to_string();
        for (mode, share) in modes {
            b.seconds("node_cpu_seconds_total", &[("cpu", &cpu), ("mode", mode)], share);
        }
        for mode in ["user", "nice"] {
            b.fixed("node_cpu_guest_seconds_total", &[("cpu", &cpu), ("mode", mode)], 0.0);
        }
    }
    b.fixed("node_memory_MemTotal_bytes", &[], 32.0 * GIB);
    for (name, mid) in [
        ("MemFree", 3.0), ("MemAvailable", 14.0), ("Buffers", 0.6), ("Cached", 9.0), ("Active", 11.0), ("Inactive", 6.0), ("Active_anon", 7.0),
        ("Inactive_anon", 1.2), ("Active_file", 4.0), ("Inactive_file", 5.0), ("AnonPages", 7.5), ("Mapped", 1.1), ("Shmem", 0.3), ("Slab", 1.4),
        ("SReclaimable", 0.9), ("SUnreclaim", 0.5), ("KernelStack", 0.02), ("PageTables", 0.06), ("Committed_AS", 20.0), ("Dirty", 0.003),
    ] {
        b.bytes(&format!("node_memory_{name}_bytes"), &[], mid * GIB);
    }
    for name in ["SwapTotal", "SwapFree", "HugePages_Total", "HardwareCorrupted", "Writeback", "Bounce"] {
        b.fixed(&format!("node_memory_{name}_bytes"), &[], 0.0);
    }
    for (device, mount, fstype, gib) in [
        ("/dev/nvme0n1p1", "/", "ext4", 100.0), ("/dev/nvme1n1", "/var/lib/containerd", "xfs", 400.0), ("tmpfs", "/run", "tmpfs", 6.0),
        ("/dev/nvme0n1p15", "/boot/efi", "vfat", 0.1),
    ] {
        let l = [("device", device), ("mountpoint", mount), ("fstype", fstype)];
        b.fixed("node_filesystem_size_bytes", &l, gib * GIB);
        b.bytes("node_filesystem_avail_bytes", &l, gib * GIB * 0.4);
        b.bytes("node_filesystem_free_bytes", &l, gib * GIB * 0.45);
        b.fixed("node_filesystem_files", &l, gib * 65536.0);
        b.add("node_filesystem_files_free", &l, Model::Flat { p: 0.3 }, gib * 60000.0);
        b.fixed("node_filesystem_readonly", &l, 0.0);
        b.fixed("node_filesystem_device_error", &l, 0.0);
    }
    for (device, scale) in [("eth0", 1.0), ("cni0", 0.7), ("lo", 0.1)] {
        let l = [("device", device)];
        for (dir, per_s) in [("receive", 4.1e6), ("transmit", 3.3e6)] {
            b.count(&format!("node_network_{dir}_bytes_total"), &l, per_s * scale);
            b.count(&format!("node_network_{dir}_packets_total"), &l, per_s * scale / 900.0);
            for kind in ["errs", "drop", "fifo"] {
                b.fixed(&format!("node_network_{dir}_{kind}_total"), &l, 0.0);
            }
        }
        b.fixed("node_network_up", &l, 1.0);
        b.fixed("node_network_mtu_bytes", &l, 9001.0);
    }
    for (device, scale) in [("nvme0n1", 0.3), ("nvme1n1", 1.0)] {
        let l = [("device", device)];
        for (name, per_s) in [
            ("reads_completed", 12.0), ("read_bytes", 4.5e5), ("writes_completed", 160.0), ("written_bytes", 2.8e6), ("reads_merged", 0.4),
            ("writes_merged", 60.0),
        ] {
            b.count(&format!("node_disk_{name}_total"), &l, per_s * scale);
        }
        for (name, per_s) in [("read_time_seconds", 0.01), ("write_time_seconds", 0.2), ("io_time_seconds", 0.12), ("io_time_weighted_seconds", 0.3)] {
            b.seconds(&format!("node_disk_{name}_total"), &l, per_s * scale);
        }
        b.add("node_disk_io_now", &l, Model::Flat { p: 0.4 }, 1.0);
    }
    for name in ["node_load1", "node_load5", "node_load15"] {
        let load = busy * f64::from(spec.cpus);
        b.add(name, &[], Model::Walk { step: load / 10.0, min: 0.0, max: load * 3.0, scale: 100.0 }, load);
    }
    for (name, per_s) in [
        ("node_context_switches_total", 2.4e4), ("node_intr_total", 1.5e4), ("node_forks_total", 9.0), ("node_vmstat_pgfault", 6.1e3),
        ("node_vmstat_pgmajfault", 0.2), ("node_vmstat_pgpgin", 450.0), ("node_vmstat_pgpgout", 2900.0), ("node_netstat_Tcp_InSegs", 7.3e3),
        ("node_netstat_Tcp_OutSegs", 6.9e3), ("node_netstat_Tcp_RetransSegs", 3.0), ("node_netstat_Tcp_ActiveOpens", 21.0),
        ("node_netstat_Tcp_PassiveOpens", 18.0), ("node_netstat_Udp_InDatagrams", 80.0), ("node_netstat_Udp_OutDatagrams", 82.0),
        ("node_netstat_IpExt_InOctets", 5.0e6), ("node_netstat_IpExt_OutOctets", 4.4e6),
    ] {
        b.count(name, &[], per_s);
    }
    for resource in ["cpu_waiting", "io_waiting", "io_stalled", "memory_waiting", "memory_stalled"] {
        b.add(&format!("node_pressure_{resource}_seconds_total"), &[], Model::Counter { per_s: 0.02 * busy, noise: 1.0, scale: 1e6 }, 0.0);
    }
    for (name, value) in [
        ("node_procs_running", 4.0), ("node_procs_blocked", 0.0), ("node_netstat_Tcp_CurrEstab", 210.0), ("node_sockstat_TCP_alloc", 420.0),
        ("node_sockstat_TCP_tw", 60.0), ("node_filefd_allocated", 5000.0), ("node_nf_conntrack_entries", 9000.0),
    ] {
        b.add(name, &[], Model::Flat { p: 0.7 }, value);
    }
    b.fixed("node_nf_conntrack_entries_limit", &[], 262144.0);
    b.fixed("node_filefd_maximum", &[], 9.2e18);
    b.fixed("node_boot_time_seconds", &[], BOOT);
    b.fixed("node_uname_info", &[("nodename", node), ("release", "6.1.0-28-cloud-amd64"), ("machine", "x86_64"), ("sysname", "Linux")], 1.0);
    b.add("node_time_seconds", &[], Model::Clock, 0.0);
    b.finish(out);
}

#[rustfmt::skip]
pub fn container(b: &mut Builder, pod: &Pod, node: &str) {
    b.life = pod.life;
    let slice = format!("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice", pod.uid.replace('-', "_"));
    let id = format!("{slice}/cri-containerd-{}.scope", pod.container_id);
    let l = [
        ("namespace", pod.namespace), ("pod", &pod.name), ("container", &pod.app), ("image", &pod.image), ("id", &id), ("name", &pod.container_id),
        ("node", node),
    ];
    let load = 0.02 + b.rng.unit() * 0.5;
    for (name, per_s) in [("usage_seconds", load), ("user_seconds", load * 0.7), ("system_seconds", load * 0.3), ("cfs_throttled_seconds", load * 0.02)] {
        let start = if pod.life.0 == 0 { per_s * 1e6 * b.rng.unit() } else { 0.0 };
        b.add(&format!("container_cpu_{name}_total"), &l, Model::Counter { per_s, noise: 0.6, scale: 1e9 }, start);
    }
    b.count("container_cpu_cfs_periods_total", &l, 10.0);
    b.count("container_cpu_cfs_throttled_periods_total", &l, 0.1);
    let memory = GIB * (0.05 + b.rng.unit());
    for (name, share) in [("working_set", 1.0), ("rss", 0.8), ("cache", 0.3), ("usage", 1.2)] {
        let name = if share == 0.8 || share == 0.3 { format!("container_memory_{name}") } else { format!("container_memory_{name}_bytes") };
        b.bytes(&name, &l, memory * share);
    }
    b.count("container_fs_reads_bytes_total", &l, 2e3);
    b.count("container_fs_writes_bytes_total", &l, 2e4);
    b.add("container_threads", &l, Model::Flat { p: 0.1 }, 24.0);
    for (name, value) in [
        ("container_memory_failcnt", 0.0), ("container_memory_swap", 0.0), ("container_processes", 1.0),
        ("container_spec_memory_limit_bytes", 2.0 * GIB), ("container_spec_cpu_shares", 256.0), ("container_spec_cpu_quota", 100000.0),
        ("container_start_time_seconds", BOOT + 1e5), ("container_fs_usage_bytes", 53248.0),
    ] {
        b.fixed(name, &l, value);
    }
    b.add("container_last_seen", &l, Model::Clock, 0.0);
    let l = [("namespace", pod.namespace), ("pod", pod.name.as_str()), ("interface", "eth0"), ("id", &slice), ("node", node)];
    for (dir, per_s) in [("receive", 9.1e4), ("transmit", 1.3e5)] {
        b.count(&format!("container_network_{dir}_bytes_total"), &l, per_s);
        b.count(&format!("container_network_{dir}_packets_total"), &l, per_s / 700.0);
        b.fixed(&format!("container_network_{dir}_errors_total"), &l, 0.0);
        b.fixed(&format!("container_network_{dir}_packets_dropped_total"), &l, 0.0);
    }
    b.life = (0, u32::MAX);
}

#[rustfmt::skip]
pub fn kube_node(b: &mut Builder, node: &str) {
    b.fixed(
        "kube_node_info",
        &[("node", node), ("kernel_version", "6.1.0-28-cloud-amd64"), ("kubelet_version", "v1.33.2"), ("os_image", "Debian GNU/Linux 12")],
        1.0,
    );
    for condition in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
        for status in ["true", "false", "unknown"] {
            let on = (condition == "Ready") == (status == "true") && status != "unknown";
            b.fixed("kube_node_status_condition", &[("node", node), ("condition", condition), ("status", status)], f64::from(on));
        }
    }
    for (resource, unit, value) in [("cpu", "core", 8.0), ("memory", "byte", 32.0 * GIB), ("pods", "integer", 110.0)] {
        for kind in ["capacity", "allocatable"] {
            b.fixed(&format!("kube_node_status_{kind}"), &[("node", node), ("resource", resource), ("unit", unit)], value);
        }
    }
}

#[rustfmt::skip]
pub fn kube_pod(b: &mut Builder, pod: &Pod, node: &str) {
    b.life = pod.life;
    let l = [("namespace", pod.namespace), ("pod", pod.name.as_str()), ("uid", pod.uid.as_str())];
    let with = |more: &[(&'static str, &'static str)]| [&l[..], more].concat();
    let owner = pod.name.rsplit_once('-').map_or("", |p| p.0);
    b.fixed(
        "kube_pod_info",
        &[
            &l[..],
            &[
                ("node", node), ("pod_ip", &pod.ip), ("host_ip", "10.0.0.1"), ("created_by_kind", "ReplicaSet"), ("created_by_name", owner),
                ("priority_class", "default"),
            ],
        ]
        .concat(),
        1.0,
    );
    b.fixed("kube_pod_owner", &[&l[..], &[("owner_kind", "ReplicaSet"), ("owner_name", owner), ("owner_is_controller", "true")]].concat(), 1.0);
    b.fixed("kube_pod_labels", &[&l[..], &[("label_app", &pod.app), ("label_team", pod.namespace)]].concat(), 1.0);
    for phase in ["Pending", "Succeeded", "Failed", "Unknown", "Running"] {
        b.fixed("kube_pod_status_phase", &with(&[("phase", phase)]), f64::from(phase == "Running"));
    }
    for condition in ["true", "false", "unknown"] {
        b.fixed("kube_pod_status_ready", &with(&[("condition", condition)]), f64::from(condition == "true"));
    }
    b.fixed("kube_pod_created", &l, BOOT + 9e4);
    b.fixed("kube_pod_start_time", &l, BOOT + 9e4 + 1.0);
    let c = [&l[..], &[("container", pod.app.as_str())]].concat();
    b.add("kube_pod_container_status_restarts_total", &c, Model::Rare { p: 0.0005 }, 0.0);
    b.fixed("kube_pod_container_info", &[&c[..], &[("image", &pod.image), ("container_id", &format!("containerd://{}", pod.container_id))]].concat(), 1.0);
    for (name, value) in [("ready", 1.0), ("running", 1.0), ("waiting", 0.0), ("terminated", 0.0)] {
        b.fixed(&format!("kube_pod_container_status_{name}"), &c, value);
    }
    for (kind, factor) in [("requests", 1.0), ("limits", 2.0)] {
        for (resource, unit, value) in [("cpu", "core", 0.25), ("memory", "byte", GIB)] {
            b.fixed(
                &format!("kube_pod_container_resource_{kind}"),
                &[&c[..], &[("resource", resource), ("unit", unit), ("node", node)]].concat(),
                value * factor,
            );
        }
    }
    b.life = (0, u32::MAX);
}

#[rustfmt::skip]
pub fn application(rng: &mut Rng, spec: &Spec, cluster: &str, pod: &Pod, node: &str, out: &mut Vec<Target>) {
    let mut b = Builder::new(rng, spec, cluster, "app", &format!("{}:8080", pod.ip));
    b.life = pod.life;
    for (n, v) in [("namespace", pod.namespace), ("pod", &pod.name), ("app", &pod.app), ("node", node)] {
        b.common.push((n.to_string(), v.to_string()));
    }
    let per_s = 1.0 + b.rng.unit() * 80.0;
    let (shared, start) = (Rng::new(b.rng.next()), if pod.life.0 == 0 { (per_s * 1e5).floor() } else { 0.0 });
    let route = [("handler", "/api/v1/items"), ("method", "GET")];
    for (le, cdf) in BUCKETS {
        b.add_seeded("http_request_duration_seconds_bucket", &[&route[..], &[("le", le)]].concat(), Model::Bucket { per_s, cdf }, start, shared.clone());
    }
    b.add_seeded("http_request_duration_seconds_count", &route, Model::Bucket { per_s, cdf: 1.0 }, start, shared);
    b.add("http_request_duration_seconds_sum", &route, Model::Counter { per_s: per_s * 0.11, noise: 0.5, scale: 0.0 }, start * 0.11);
    for (code, share) in [("200", 0.97), ("404", 0.02), ("500", 0.01)] {
        b.count("http_requests_total", &[("code", code), ("method", "GET")], per_s * share);
    }
    b.seconds("process_cpu_seconds_total", &[], 0.1);
    b.bytes("process_resident_memory_bytes", &[], GIB / 8.0);
    b.bytes("go_memstats_heap_inuse_bytes", &[], GIB / 16.0);
    b.count("go_memstats_alloc_bytes_total", &[], 2e6);
    b.add("go_goroutines", &[], Model::Flat { p: 0.6 }, 40.0);
    b.add("process_open_fds", &[], Model::Flat { p: 0.2 }, 30.0);
    b.fixed("process_start_time_seconds", &[], BOOT + 1e5);
    b.fixed("go_info", &[("version", "go1.24.4")], 1.0);
    b.finish(out);
}
