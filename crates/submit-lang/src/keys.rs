//! The table of keys that go into the ad as they are: key, attribute, kind of value.
//!
//! A key may also be written as its attribute (`JobBatchName`, `RequestMemory`). Keys that need more than their own
//! value are handled by the other modules of [`steps`](crate::steps); their attribute-style names stand there.

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A ClassAd expression.
    Expr,
    /// A text, put in quotes.
    Text,
    /// A text; one pair of double quotes around it is taken off.
    Unquoted,
    /// A list, joined by commas.
    List,
    /// A file name, made absolute against the job's directory.
    Path,
    /// As [`Kind::Path`], without its double quotes.
    UnquotedPath,
    Bool,
    Int,
    /// An integer from 0 on.
    Uint,
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    pub(crate) key: &'static str,
    pub(crate) attribute: &'static str,
    pub(crate) kind: Kind,
    /// Another key for the same attribute, used when the first one is not set.
    pub(crate) alternative: Option<&'static str>,
}

const fn key(key: &'static str, attribute: &'static str, kind: Kind) -> Key {
    Key { key, attribute, kind, alternative: None }
}

const fn or(mut entry: Key, alternative: &'static str) -> Key {
    entry.alternative = Some(alternative);
    entry
}

use Kind::{Bool, Expr, Int, List, Path, Text, Uint, Unquoted, UnquotedPath};

/// In HTCondor's order, which decides the first error.
pub(crate) const KEYS: &[Key] = &[
    key("next_job_start_delay", "NextJobStartDelay", Expr),
    key("keep_claim_idle", "KeepClaimIdle", Expr),
    key("job_ad_information_attrs", "JobAdInformationAttrs", Text),
    key("ulog_execute_attrs", "UserLogExecuteEventAttrs", Text),
    or(key("max_idle", "JobMaterializeMaxIdle", Expr), "materialize_max_idle"),
    key("max_materialize", "JobMaterializeLimit", Int),
    key("docker_network_type", "DockerNetworkType", Text),
    key("docker_pull_policy", "DockerPullPolicy", Text),
    key("docker_override_entrypoint", "DockerOverrideEntrypoint", Bool),
    key("docker_send_credentials", "DockerSendCredentials", Bool),
    key("container_target_dir", "ContainerTargetDir", Unquoted),
    key("mount_under_scratch", "MountUnderScratch", Unquoted),
    key("transfer_container", "TransferContainer", Bool),
    key("transfer_plugins", "TransferPlugins", Text),
    key("want_io_proxy", "WantIOProxy", Bool),
    key("want_job_networking", "WantJobNetworking", Bool),
    key("starter_debug", "JobStarterDebug", Unquoted),
    key("starter_log", "JobStarterLog", UnquotedPath),
    key("container_is_common", "ContainerIsCommon", Bool),
    key("job_machine_attrs", "JobMachineAttrs", Text),
    key("job_machine_attrs_history_length", "JobMachineAttrsHistoryLength", Int),
    key("notify_user", "NotifyUser", Text),
    key("email_attributes", "EmailAttributes", List),
    key("remote_initialdir", "RemoteIwd", Text),
    key("Remote_grid_resource", "Remote_GridResource", Text),
    key("Remote_Remote_grid_resource", "Remote_Remote_GridResource", Text),
    key("output_destination", "OutputDestination", Text),
    key("output_directory", "OutputDirectory", Path),
    key("want_graceful_removal", "WantGracefulRemoval", Expr),
    key("job_max_vacate_time", "JobMaxVacateTime", Expr),
    key("encrypt_execute_directory", "EncryptExecuteDirectory", Bool),
    key("encrypt_input_files", "EncryptInputFiles", Text),
    key("encrypt_output_files", "EncryptOutputFiles", Text),
    key("dont_encrypt_input_files", "DontEncryptInputFiles", Text),
    key("dont_encrypt_output_files", "DontEncryptOutputFiles", Text),
    key("load_profile", "LoadProfile", Bool),
    key("primary_unix_group", "PrimaryUnixGroup", Text),
    key("file_remaps", "FileRemaps", Expr),
    key("buffer_files", "BufferFiles", Expr),
    key("buffer_size", "BufferSize", Expr),
    key("buffer_block_size", "BufferBlockSize", Expr),
    key("fetch_files", "FetchFiles", Text),
    key("compress_files", "CompressFiles", Text),
    key("append_files", "AppendFiles", Text),
    key("local_files", "LocalFiles", Text),
    key("log", "UserLog", Path),
    key("dagman_log", "DAGManNodesLog", Path),
    key("log_xml", "UserLogUseXML", Bool),
    key("noop_job", "IsNoopJob", Expr),
    key("noop_job_exit_signal", "NoopJobExitSignal", Expr),
    key("noop_job_exit_code", "NoopJobExitCode", Expr),
    key("dag_node_name", "DAGNodeName", Text),
    key("match_list_length", "LastMatchListLength", Int),
    key("dagman_job_id", "DAGManJobId", Uint),
    key("submit_event_notes", "SubmitEventNotes", Text),
    key("submit_event_user_notes", "SubmitEventUserNotes", Text),
    key("submit_event_notes_attrs", "SubmitEventNotesAttrs", Text),
    key("stack_size", "StackSize", Expr),
    key("jar_files", "JarFiles", Text),
    key("parallel_script_shadow", "ParallelScriptShadow", Text),
    key("parallel_script_starter", "ParallelScriptStarter", Text),
    key("cron_minute", "CronMinute", Text),
    key("cron_hour", "CronHour", Text),
    key("cron_day_of_month", "CronDayOfMonth", Text),
    key("cron_month", "CronMonth", Text),
    key("cron_day_of_week", "CronDayOfWeek", Text),
    key("description", "JobDescription", Text),
    key("batch_name", "JobBatchName", Unquoted),
    key("batch_id", "JobBatchId", Unquoted),
    key("max_job_retirement_time", "MaxJobRetirementTime", Expr),
    key("job_lease_duration", "JobLeaseDuration", Expr),
    key("core_size", "CoreSize", Int),
    or(key("priority", "JobPrio", Int), "prio"),
    key("run_as_owner", "RunAsOwner", Bool),
    key("max_transfer_input_mb", "MaxTransferInputMB", Expr),
    key("max_transfer_output_mb", "MaxTransferOutputMB", Expr),
    key("manifest", "ManifestDesired", Bool),
    key("manifest_dir", "ManifestDir", Text),
    key("checkpoint_exit_code", "SuccessCheckpointExitCode", Int),
    key("checkpoint_destination", "CheckpointDestination", Text),
    key("aws_region", "AWSRegion", Text),
    key("aws_access_key_id_file", "EC2AccessKeyId", Text),
    key("aws_secret_access_key_file", "EC2SecretAccessKey", Text),
    key("s3_access_key_id_file", "EC2AccessKeyId", Text),
    key("s3_secret_access_key_file", "EC2SecretAccessKey", Text),
    key("gs_access_key_id_file", "EC2AccessKeyId", Text),
    key("gs_secret_access_key_file", "EC2SecretAccessKey", Text),
    key("erase_output_and_error_on_restart", "EraseOutputAndErrorOnRestart", Bool),
    key("transfer_checkpoint_files", "TransferCheckpoint", Text),
    key("preserve_relative_paths", "PreserveRelativePaths", Bool),
    key("cuda_version", "CUDAVersion", Text),
    key("skip_if_dataflow", "SkipIfDataflow", Bool),
    key("allowed_job_duration", "AllowedJobDuration", Expr),
    key("allowed_execute_duration", "AllowedExecuteDuration", Expr),
    key("jobset", "JobSetName", Unquoted),
];

/// Keys of the grid universe.
pub(crate) const GRID_KEYS: &[Key] = &[
    key("arc_rte", "ArcRte", Text),
    key("arc_resources", "ArcResources", Text),
    key("arc_application", "ArcApplication", Text),
    key("arc_data_staging", "ArcDataStaging", Text),
    key("batch_extra_submit_args", "BatchExtraSubmitArgs", Text),
    key("batch_project", "BatchProject", Text),
    key("batch_queue", "BatchQueue", Text),
    key("batch_runtime", "BatchRuntime", Expr),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_stands_once() {
        let mut keys: Vec<String> = KEYS.iter().chain(GRID_KEYS).map(|k| k.key.to_ascii_lowercase()).collect();
        keys.extend(KEYS.iter().filter_map(|k| k.alternative).map(str::to_owned));
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }
}
