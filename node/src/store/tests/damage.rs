//! A damaged file opens with everything that was acknowledged, or is called corrupt; it never opens
//! with less.

use std::path::Path;

use super::*;

/// Fills a new store over several commits; the second value is its file as a crash would leave it.
async fn fill(path: &Path) -> (Store, Vec<u8>) {
    let store = Store::create(path, limits()).unwrap();
    for round in 0..3 {
        append(&store, round * 10..round * 10 + 10).await.join_all().await;
        let seed = u8::try_from(round).unwrap();
        let body = object(seed, 9000 * usize::from(seed), &[b"x"]);
        store.store([seed; 32], body, false).await.unwrap();
    }
    let crashed = std::fs::read(path).unwrap();
    (store, crashed)
}

/// Opens `image`; tells whether everything is there.
async fn is_whole(image: &Path) -> Result<bool, StoreError> {
    let store = Store::open(image, limits())?;
    let mut whole = held(&store, 9).await?.len() == 30;
    for seed in 0..3 {
        let body = object(seed, 9000 * usize::from(seed), &[b"x"]);
        whole &= store.fetch([seed; 32]).await? == Some(body);
    }
    store.close().await?;
    Ok(whole)
}

/// Damages `good` in many ways; returns how many images opened and how many were called corrupt.
async fn sweep(good: &[u8], crashed: bool, image: &Path) -> (u32, u32) {
    let mut images = Vec::new();
    // Every byte of redb's header, then some all over the file. One bit is spared: which of the two
    // last commits counts, on which redb keeps no checksum, and which after a crash it has to
    // believe.
    let all_over = (0..good.len()).step_by(good.len() / 100 + 1);
    for at in (0..320).chain(all_over) {
        let mut bad = good.to_vec();
        bad[at] ^= 1 << (at % 8);
        if crashed && at == 9 {
            bad[at] = good[at] ^ 0x80;
        }
        images.push(bad);
    }
    images.extend((0..20).map(|part| good[..good.len() * part / 20].to_vec()));
    images.extend([1, 4096, 65536].map(|more| [good, &vec![0; more]].concat()));
    let (mut opened, mut corrupt) = (0, 0);
    for bad in images {
        std::fs::write(image, bad).unwrap();
        match is_whole(image).await {
            Ok(whole) => {
                assert!(whole, "opened with less than was acknowledged");
                opened += 1;
            }
            Err(failure) => {
                assert_eq!(failure, StoreError::Corrupt(Corruption::File));
                corrupt += 1;
            }
        }
    }
    (opened, corrupt)
}

#[tokio::test]
async fn a_damaged_file_is_whole_or_corrupt() {
    // In memory if there is such a folder: a thousand opens, each with several fsyncs.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let folder = folder.unwrap();
    let (path, image) = (folder.path().join("store"), folder.path().join("image"));
    let (store, crashed) = fill(&path).await;
    let (opened, corrupt) = sweep(&crashed, true, &image).await;
    assert!(opened > 50 && corrupt > 50, "after a crash: {opened} opened, {corrupt} corrupt");
    store.close().await.unwrap();
    let clean = std::fs::read(&path).unwrap();
    let (opened, corrupt) = sweep(&clean, false, &image).await;
    assert!(opened > 50 && corrupt > 50, "closed cleanly: {opened} opened, {corrupt} corrupt");
}
