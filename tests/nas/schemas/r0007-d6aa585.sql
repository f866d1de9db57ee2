BEGIN TRANSACTION;
CREATE TABLE artifacts (
	id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	target TEXT NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_artifacts PRIMARY KEY (id), 
	CONSTRAINT fk_artifacts_trial_id_trials FOREIGN KEY(trial_id) REFERENCES trials (id)
);
INSERT INTO "artifacts" VALUES(1,1,'/work/demo.nas','x86-64-v3','cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd','2026-11-29 01:33:02.285055');
CREATE TABLE bitnas_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT bitnas_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "bitnas_version" VALUES('0007');
CREATE TABLE devices (
	id INTEGER NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	target TEXT, 
	description JSON, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_devices PRIMARY KEY (id), 
	CONSTRAINT uq_devices_name UNIQUE (name)
);
INSERT INTO "devices" VALUES(1,'cpu | 1 thread','llvm','{"cpu": "model", "features": ["avx2"]}','2026-11-29 01:33:02.289957');
CREATE TABLE epochs (
	trial_id INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	train_loss DOUBLE NOT NULL, 
	accuracy DOUBLE NOT NULL, 
	seconds DOUBLE NOT NULL, 
	CONSTRAINT pk_epochs PRIMARY KEY (trial_id, epoch), 
	CONSTRAINT fk_epochs_trial_id_trials FOREIGN KEY(trial_id) REFERENCES trials (id)
);
INSERT INTO "epochs" VALUES(1,1,2.0,0.5,0.25);
INSERT INTO "epochs" VALUES(1,2,1.0,6.00000000000000088817e-01,0.25);
INSERT INTO "epochs" VALUES(3,1,2.0,0.5,0.25);
INSERT INTO "epochs" VALUES(4,1,2.0,0.5,0.25);
CREATE TABLE known_devices (
	id INTEGER NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	record JSON NOT NULL, 
	description JSON, 
	probed_at DATETIME, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_known_devices PRIMARY KEY (id), 
	CONSTRAINT uq_known_devices_name UNIQUE (name)
);
INSERT INTO "known_devices" VALUES(1,'board','{"name": "board", "reach": "local", "address": "", "key": "", "target": "native", "threads": 1}','{"cpu": "m"}','2026-11-29 01:33:02.590457','2026-11-29 01:33:02.589366');
CREATE TABLE measurements (
	id INTEGER NOT NULL, 
	device_id INTEGER NOT NULL, 
	workload TEXT NOT NULL, 
	milliseconds DOUBLE NOT NULL, 
	iqr_ms DOUBLE NOT NULL, 
	samples INTEGER NOT NULL, 
	date VARCHAR(64) NOT NULL, 
	tvm_version VARCHAR(64) NOT NULL, schedule VARCHAR(64) DEFAULT '' NOT NULL, cold_ms DOUBLE, conditions JSON, code_bytes INTEGER, 
	CONSTRAINT pk_measurements PRIMARY KEY (id), 
	CONSTRAINT fk_measurements_device_id_devices FOREIGN KEY(device_id) REFERENCES devices (id)
);
INSERT INTO "measurements" VALUES(1,1,'conv2d(a)',1.0,0.1,12,'2026-11-20T10:00:00+00:00','0.27.0','tile-4',2.0,'{}',512);
CREATE TABLE network_measurements (
	id INTEGER NOT NULL, 
	device_id INTEGER NOT NULL, 
	purpose VARCHAR(16) NOT NULL, 
	workloads JSON NOT NULL, 
	milliseconds DOUBLE NOT NULL, 
	iqr_ms DOUBLE NOT NULL, 
	samples INTEGER NOT NULL, 
	date VARCHAR(64) NOT NULL, 
	tvm_version VARCHAR(64) NOT NULL, 
	conditions JSON, 
	CONSTRAINT pk_network_measurements PRIMARY KEY (id), 
	CONSTRAINT fk_network_measurements_device_id_devices FOREIGN KEY(device_id) REFERENCES devices (id)
);
INSERT INTO "network_measurements" VALUES(1,1,'calibration','["conv2d(a)"]',1.0,0.1,12,'2026-11-20T10:00:00+00:00','0.27.0','{}');
CREATE TABLE searches (
	id INTEGER NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	config JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_searches PRIMARY KEY (id), 
	CONSTRAINT uq_searches_name UNIQUE (name)
);
INSERT INTO "searches" VALUES(1,'demo','{"space": "tiny", "data": "digits", "device": "local", "trials": 5, "epochs": 2, "sampler": "tpe", "seed": 0, "max_latency_ms": 2.0, "max_size_kb": null, "pruner": "none", "when_away": "wait", "image_size": null, "max_latency_share": null, "median_latency_ms": null, "measure": "front", "batch_size": null, "learning_rate": null}','2026-11-29 01:32:57.772819');
CREATE TABLE trials (
	id INTEGER NOT NULL, 
	search_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	owner TEXT, 
	expires_at DATETIME, 
	fence INTEGER NOT NULL, 
	deaths INTEGER NOT NULL, 
	choices JSON, 
	architecture TEXT, 
	digest VARCHAR(64), 
	latency_ms DOUBLE, 
	latency_by_workload JSON, 
	size_kb DOUBLE, 
	accuracy DOUBLE, 
	measured_latency_ms DOUBLE, 
	error TEXT, 
	started_at DATETIME, 
	finished_at DATETIME, estimated JSON, latency_low_ms FLOAT, latency_high_ms FLOAT, measuring_s FLOAT, 
	CONSTRAINT pk_trials PRIMARY KEY (id), 
	CONSTRAINT fk_trials_search_id_searches FOREIGN KEY(search_id) REFERENCES searches (id), 
	CONSTRAINT uq_trials_search_id_number UNIQUE (search_id, number), 
	CONSTRAINT ck_trials_state CHECK (state IN ('queued', 'running', 'complete', 'infeasible', 'pruned', 'failed'))
);
INSERT INTO "trials" VALUES(1,1,0,'complete','lab|4242|1000|boot-1/4026531836',NULL,2,0,'{"stem.width": 16, "stage1.block": "fire", "stage1.width": 32, "stage1.kernel": 5, "stage1.stride": 1, "stage1.repeats": 2, "stage1.repeat0.squeeze.precision": "binary", "stage1.repeat0.expand1.precision": "binary", "stage1.repeat0.expand3.precision": "binary", "stage1.repeat1.squeeze.precision": "int8", "stage1.repeat1.expand1.precision": "float", "stage1.repeat1.expand3.precision": "binary", "stage2.block": "separable", "stage2.width": 96, "stage2.kernel": 5, "stage2.stride": 1, "stage2.repeats": 2, "stage2.repeat0.depthwise.precision": "ternary", "stage2.repeat0.pointwise.precision": "int8", "stage2.repeat1.depthwise.precision": "dithered", "stage2.repeat1.pointwise.precision": "float"}','{"blocks":[{"groups":1,"kernel":5,"kind":"fire","precisions":{"expand1":"binary","expand3":"binary","squeeze":"binary"},"stride":1,"width":32},{"groups":1,"kernel":5,"kind":"fire","precisions":{"expand1":"float","expand3":"binary","squeeze":"int8"},"stride":1,"width":32},{"groups":1,"kernel":5,"kind":"separable","precisions":{"depthwise":"ternary","pointwise":"int8"},"stride":1,"width":96},{"groups":1,"kernel":5,"kind":"separable","precisions":{"depthwise":"dithered","pointwise":"float"},"stride":1,"width":96}],"classes":10,"head":{"precision":"float"},"input_shape":[1,8,8],"space":"tiny","stem":{"kernel":3,"precision":"float","stride":1,"width":16}}','086a8f19294a3ee1abfd78f88a73202cd18e78774b2b1eb6f3ef8cfd22e74507',1.5,'[["conv2d(a)", 1.0], ["dense(b)", 0.5]]',12.0,0.6,1.0,NULL,'2026-11-29 01:32:57.838175','2026-11-29 01:33:02.214924','["dense(b)"]',1.25,1.75,0.5);
INSERT INTO "trials" VALUES(2,1,1,'infeasible','lab|4242|1000|boot-1/4026531836',NULL,1,0,'{"stem.width": 16, "stage1.block": "separable", "stage1.width": 32, "stage1.kernel": 5, "stage1.stride": 1, "stage1.repeats": 2, "stage1.repeat0.depthwise.precision": "ternary", "stage1.repeat0.pointwise.precision": "dithered", "stage1.repeat1.depthwise.precision": "int8", "stage1.repeat1.pointwise.precision": "dithered", "stage2.block": "separable", "stage2.width": 64, "stage2.kernel": 5, "stage2.stride": 2, "stage2.repeats": 2, "stage2.repeat0.depthwise.precision": "dithered", "stage2.repeat0.pointwise.precision": "binary", "stage2.repeat1.depthwise.precision": "dithered", "stage2.repeat1.pointwise.precision": "ternary"}','{"blocks":[{"groups":1,"kernel":5,"kind":"separable","precisions":{"depthwise":"ternary","pointwise":"dithered"},"stride":1,"width":32},{"groups":1,"kernel":5,"kind":"separable","precisions":{"depthwise":"int8","pointwise":"dithered"},"stride":1,"width":32},{"groups":1,"kernel":5,"kind":"separable","precisions":{"depthwise":"dithered","pointwise":"binary"},"stride":2,"width":64},{"groups":1,"kernel":5,"kind":"separable","precisions":{"depthwise":"dithered","pointwise":"ternary"},"stride":1,"width":64}],"classes":10,"head":{"precision":"float"},"input_shape":[1,8,8],"space":"tiny","stem":{"kernel":3,"precision":"float","stride":1,"width":16}}','ec4d77511d3224a5ccfdf2e64a31753698e97908394829f5fd6982647b9518f2',1.5,'[["conv2d(a)", 1.0], ["dense(b)", 0.5]]',12.0,NULL,NULL,'latency 3 ms is over the limit of 2 ms','2026-11-29 01:33:02.241834','2026-11-29 01:33:02.252644','["dense(b)"]',1.25,1.75,0.5);
INSERT INTO "trials" VALUES(3,1,2,'pruned','lab|4242|1000|boot-1/4026531836',NULL,1,0,'{"stem.width": 16, "stage1.block": "fire", "stage1.width": 32, "stage1.kernel": 5, "stage1.stride": 2, "stage1.repeats": 1, "stage1.repeat0.squeeze.precision": "dithered", "stage1.repeat0.expand1.precision": "float", "stage1.repeat0.expand3.precision": "binary", "stage2.block": "shuffle", "stage2.width": 64, "stage2.kernel": 3, "stage2.stride": 2, "stage2.groups": 4, "stage2.repeats": 2, "stage2.repeat0.reduce.precision": "binary", "stage2.repeat0.depthwise.precision": "int8", "stage2.repeat0.expand.precision": "int8", "stage2.repeat1.reduce.precision": "int8", "stage2.repeat1.depthwise.precision": "dithered", "stage2.repeat1.expand.precision": "binary"}','{"blocks":[{"groups":1,"kernel":5,"kind":"fire","precisions":{"expand1":"float","expand3":"binary","squeeze":"dithered"},"stride":2,"width":32},{"groups":4,"kernel":3,"kind":"shuffle","precisions":{"depthwise":"int8","expand":"int8","reduce":"binary"},"stride":2,"width":64},{"groups":4,"kernel":3,"kind":"shuffle","precisions":{"depthwise":"dithered","expand":"binary","reduce":"int8"},"stride":1,"width":64}],"classes":10,"head":{"precision":"float"},"input_shape":[1,8,8],"space":"tiny","stem":{"kernel":3,"precision":"float","stride":1,"width":16}}','2a2bcb9991208a2519a54cfca7303bc2b57d739ec31d0fc4055ee458b85dc705',1.5,'[["conv2d(a)", 1.0], ["dense(b)", 0.5]]',12.0,0.5,NULL,NULL,'2026-11-29 01:33:02.254465','2026-11-29 01:33:02.268383','["dense(b)"]',1.25,1.75,0.5);
INSERT INTO "trials" VALUES(4,1,3,'running','lab|4242|1000|boot-1/4026531836','2026-11-29 01:34:02.278258',1,0,'{"stem.width": 16, "stage1.block": "shuffle", "stage1.width": 32, "stage1.kernel": 5, "stage1.stride": 2, "stage1.groups": 1, "stage1.repeats": 1, "stage1.repeat0.reduce.precision": "float", "stage1.repeat0.depthwise.precision": "float", "stage1.repeat0.expand.precision": "binary", "stage2.block": "fire", "stage2.width": 96, "stage2.kernel": 3, "stage2.stride": 1, "stage2.repeats": 2, "stage2.repeat0.squeeze.precision": "ternary", "stage2.repeat0.expand1.precision": "int8", "stage2.repeat0.expand3.precision": "float", "stage2.repeat1.squeeze.precision": "ternary", "stage2.repeat1.expand1.precision": "int8", "stage2.repeat1.expand3.precision": "float"}','{"blocks":[{"groups":1,"kernel":5,"kind":"shuffle","precisions":{"depthwise":"float","expand":"binary","reduce":"float"},"stride":2,"width":32},{"groups":1,"kernel":3,"kind":"fire","precisions":{"expand1":"int8","expand3":"float","squeeze":"ternary"},"stride":1,"width":96},{"groups":1,"kernel":3,"kind":"fire","precisions":{"expand1":"int8","expand3":"float","squeeze":"ternary"},"stride":1,"width":96}],"classes":10,"head":{"precision":"float"},"input_shape":[1,8,8],"space":"tiny","stem":{"kernel":3,"precision":"float","stride":1,"width":16}}','ea0c0038a5b11507578a3a869f326490daf07176efd369474af580d349c4a8da',1.5,'[["conv2d(a)", 1.0], ["dense(b)", 0.5]]',12.0,NULL,NULL,NULL,'2026-11-29 01:33:02.270863',NULL,'["dense(b)"]',1.25,1.75,0.5);
INSERT INTO "trials" VALUES(5,1,4,'queued',NULL,NULL,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE weights (
	trial_id INTEGER NOT NULL, 
	tensors BLOB NOT NULL, 
	CONSTRAINT pk_weights PRIMARY KEY (trial_id), 
	CONSTRAINT fk_weights_trial_id_trials FOREIGN KEY(trial_id) REFERENCES trials (id)
);
INSERT INTO "weights" VALUES(1,X'080074656E736F7273');
CREATE INDEX ix_measurements_device_id_workload ON measurements (device_id, workload);
CREATE INDEX ix_network_measurements_device_id ON network_measurements (device_id);
COMMIT;
